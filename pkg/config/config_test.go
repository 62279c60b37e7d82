package config_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// compared has cmp look at what the types hide.
var compared = cmp.Options{
	cmp.Transformer("Reveal", config.Secret.Reveal),
	cmp.Transformer("Pattern", image.Pattern.String),
	cmp.Transformer("Template", config.Message.String),
}

// lookups answers for each variable and file with its own name.
func lookups() config.Options {
	return config.Options{
		Getenv:   func(name string) string { return " secret of " + name + "\n" },
		ReadFile: func(path string) ([]byte, error) { return []byte("secret in " + path + "\n"), nil },
	}
}

func pattern(t *testing.T, text string) image.Pattern {
	t.Helper()
	p, err := image.ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFullExample(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Parse("full.yaml", content, lookups())
	if err != nil {
		t.Fatal(err)
	}
	message, err := config.ParseMessage("Deploy {name} {version}\n\n{image}:{version}")
	if err != nil {
		t.Fatal(err)
	}
	title, err1 := config.ParseMessage("Deploy {name} {version}")
	body, err2 := config.ParseMessage("Deploys {image}:{version}.")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	want := &config.File{
		Targets: []config.Target{
			{
				Name: "production", Repository: "octo-org/infra", Branch: "main",
				Include: []string{"clusters/production/**", "charts/*/values.yaml"},
				Exclude: []string{"**/vendor/**"},
				Images:  []string{"ghcr.io/octo-org/**", "docker.io/library/nginx"},
				Files:   []string{"yaml", "json"},
				Present: pattern(t, "-alpine$"), Overrides: "edit", Unpin: true,
				Proxies: []config.Proxy{
					{Prefix: "harbor.example.com/hub", Registry: "docker.io"},
					{Prefix: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/github", Registry: "ghcr.io"},
				},
				Freeze:   []config.Freeze{{Schedule: "0 18 * * 5", Duration: 62 * time.Hour, Timezone: "Europe/Berlin", Reason: "no deployments over the weekend"}},
				Versions: config.Tags{Semver: ">=1.0.0"}, RefuseDowngrade: true,
				Registry: config.RegistryCheck{Check: config.CheckTag, Allow: true},
				Message:  message,
				Author:   &config.Author{Name: "Deploy Bot", Email: "deploy-bot@example.com"},
				Mode:     "pull_request",
				PullRequest: config.PullRequest{
					Group: "target", Prefix: "bump/", Title: title, Body: body, Labels: []string{"deploy"}, Reviewers: []string{"octocat"},
					Teams: []string{"platform"}, Assignees: []string{"octocat"}, Draft: true, WhenReady: true, Method: "rebase", Timeout: 48 * time.Hour,
				},
			},
			{Name: "staging", Repository: "octo-org/infra", Branch: "main", Include: []string{"clusters/staging/**"}, Embedded: true},
			{Name: "octo-org/apps", Repository: "octo-org/apps", Embedded: true},
		},
		Webhooks: []config.Webhook{
			{
				Name: "hub", Kind: "dockerhub",
				Secrets: []config.Secret{
					config.NewSecret("secret of HUB_SECRET"),
					config.NewSecret("secret in /run/secrets/hub"),
					config.NewSecret("not-for-production"),
				},
				Tags:    config.Tags{Semver: ">=1.2, <2"},
				Present: pattern(t, "^[0-9.]+$"),
				Targets: []string{"production", "staging"},
			},
			{
				Name: "jfrog", Kind: "artifactory",
				Secrets:  []config.Secret{config.NewSecret("secret of JFROG_SECRET")},
				Registry: "example.jfrog.io",
				Images:   []string{"example.jfrog.io/docker/**"},
				Rewrite:  []config.Rewrite{{From: "example.jfrog.io/docker-local", To: "example.jfrog.io/docker"}},
				Tags:     config.Tags{Regexp: "^v[0-9]+"},
			},
			{
				Name: "google", Kind: "gar",
				Audience:       "https://versions.example.com/v1/webhooks/google",
				ServiceAccount: "pubsub-push@octo-project.iam.gserviceaccount.com",
			},
			{
				Name: "build", Kind: "generic",
				Secrets: []config.Secret{config.NewSecret("secret of BUILD_SECRET")},
				Generic: &config.Generic{
					Image: "/image", Version: "/version", Digest: "/digest", Time: "/pushed/at", ID: "/id",
					Signature: &config.Signature{Header: "X-Signature", Prefix: "sha256="},
				},
			},
		},
		Callers: []config.Caller{
			{Name: "release-bot", Read: config.ReadAll, Tokens: []config.Token{
				{Secret: config.NewSecret("secret of RELEASE_BOT_TOKEN")},
				{SHA256: "0bd65965c8a3b43476f8df77c6def244e06208c620a2fc6e4087885009cc1657"},
			}},
			{Name: "jobs", OIDC: &config.OIDC{
				Issuer: "github", Audience: "https://versions.example.com",
				Claims: map[string][]string{"repository_owner_id": {"42"}, "repo_property_team": {"web", "shop"}},
				CAFile: "/etc/ssl/issuer.pem", CA: []byte("secret in /etc/ssl/issuer.pem\n"),
			}},
		},
		Rules: []config.Rule{
			{Name: "own-image", Callers: []string{"jobs"}, Images: []string{"ghcr.io/${repository}", "ghcr.io/${repository}/**"}, Targets: []string{"staging"}},
			{
				Name: "releases", Callers: []string{"release-bot"}, Images: []string{"ghcr.io/octo-org/**"}, Versions: config.Tags{Semver: ">=1.0.0"},
				RefuseDowngrade: true, Rollback: true, OverrideFreeze: true, ReleaseHolds: true,
			},
		},
		HasRules:   true,
		Registries: []config.Registry{{Host: "registry.example.internal:5000", Insecure: true}},
		Notify: []config.Notify{{
			Name: "chat",
			HTTP: config.NotifyHTTP{
				URL: "https://chat-relay.example.com/versions", Private: true, Insecure: true,
				Secrets: []config.Secret{config.NewSecret("secret of CHAT_SECRET"), config.NewSecret("secret in /run/secrets/chat")},
			},
			On: []string{"committed", "failed", "held", "proposed"}, Targets: []string{"production"}, Link: "https://versions.example.com",
		}},
		Queue:  config.Queue{Retention: 720 * time.Hour, MaxWaiting: 10000, MaxHistory: 256 << 20},
		Limits: config.Limits{WebhookBody: 1 << 20, Bodies: 32 << 20},
	}
	if diff := cmp.Diff(want, got, compared, withoutLines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDefaultsAndSpellings reads what full.yaml does not show.
func TestDefaultsAndSpellings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     config.File
	}{
		{
			name: "the default name has the branch that is named",
			in:   "targets:\n- {repository: octo-org/infra, branch: release/1.2}\n- {repository: octo-org/infra}\n",
			want: config.File{Targets: []config.Target{
				{Name: "octo-org/infra@release/1.2", Repository: "octo-org/infra", Branch: "release/1.2", Embedded: true},
				{Name: "octo-org/infra", Repository: "octo-org/infra", Embedded: true},
			}},
		},
		{
			name: "JSON, with a byte order mark",
			in:   "\ufeff{\"targets\": [{\"repository\": \"octo-org/infra\", \"embedded\": true}]}",
			want: config.File{Targets: []config.Target{{Name: "octo-org/infra", Repository: "octo-org/infra", Embedded: true}}},
		},
		{
			name: "CRLF and document markers",
			in:   "---\r\nqueue:\r\n  max_waiting: 1\r\n...\r\n",
			want: config.File{Queue: config.Queue{MaxWaiting: 1}},
		},
		{
			name: "a size and a duration in other units",
			in:   "queue: {retention: 36h30m}\nlimits: {webhook_body: 65536}\n",
			want: config.File{Queue: config.Queue{Retention: 36*time.Hour + 30*time.Minute}, Limits: config.Limits{WebhookBody: 64 << 10}},
		},
		{
			name: "a bearer of one's own",
			in:   "webhooks: [{name: b, kind: generic, secrets: [{value: x}], generic: {image: /a~1b, version: /0/, bearer: true}}]\n",
			want: config.File{Webhooks: []config.Webhook{{
				Name: "b", Kind: "generic", Secrets: []config.Secret{config.NewSecret("x")},
				Generic: &config.Generic{Image: "/a~1b", Version: "/0/", Bearer: true},
			}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := config.Parse("config.yaml", []byte(tt.in), lookups())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got, compared); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestImageGlobsAreNormalised(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"**":                               "**",
		"nginx":                            "docker.io/library/nginx",
		"index.docker.io/octo-org/app":     "docker.io/octo-org/app",
		"octo-org/*":                       "docker.io/octo-org/*",
		"octo-org/**":                      "docker.io/octo-org/**",
		"docker.io/*":                      "docker.io/library/*",
		"docker.io/**":                     "docker.io/**",
		"index.docker.io/octo-org/*":       "docker.io/octo-org/*",
		"ghcr.io/{octo-org,refty-yapi}/**": "ghcr.io/{octo-org,refty-yapi}/**",
		"localhost:5000/*":                 "localhost:5000/*",
		"localhost/*":                      "localhost/*",
		"*.example.com/**":                 "*.example.com/**",
		"**/app":                           "**/app",
		"ghcr.io/octo-org/[a-f]*":          "ghcr.io/octo-org/[a-f]*",
	}
	for in, want := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := config.Parse("config.yaml", []byte("targets: [{repository: octo-org/infra, images: ['"+in+"']}]"), config.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{want}, got.Targets[0].Images); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecretsAreLookedUpOnlyWhereThereIsAWay(t *testing.T) {
	t.Parallel()
	in := "webhooks: [{name: hub, kind: dockerhub, secrets: [{env: A}, {file: /b}, {value: c}]}]"
	got, err := config.Parse("config.yaml", []byte(in), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Secret{{}, {}, config.NewSecret("c")}
	if diff := cmp.Diff(want, got.Webhooks[0].Secrets, compared); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHooksSpeakOfAKey(t *testing.T) {
	t.Parallel()
	errUnknownKind := errors.New("there is no such kind")
	errArchived := errors.New("octo-org/old is archived")
	o := lookups()
	o.Targets = []string{"octo-org/single"}
	o.CheckTarget = func(target config.Target) error {
		if target.Name != "octo-org/old" {
			return nil
		}
		return errArchived
	}
	o.CheckWebhook = func(w config.Webhook) error {
		switch w.Kind {
		case "dockerhub":
			return nil
		case "zot":
			return &config.Error{Key: "registry", Detail: "zot needs\none"}
		case "quay":
			return &config.Error{Key: "tags.regexp", Detail: "matches no tag", Err: errUnknownKind}
		}
		return &config.Error{Key: "kind", Detail: errUnknownKind.Error(), Err: errUnknownKind}
	}
	_, err := config.Parse("config.yaml", []byte(`targets:
  - repository: octo-org/infra
  - repository: octo-org/old
webhooks:
  - name: hub
    kind: dockerhub
    secrets: [{env: HUB}]
    targets: [octo-org/infra, octo-org/single]
  - name: z
    kind: zot
    secrets: [{env: Z}]
  - name: q
    secrets: [{env: Q}]
    tags:
      regexp: "^$"
    kind: quay
  - name: other
    secrets: [{env: OTHER}]
    kind: gitea
`), o)
	checkErrors(t, err, `
config.yaml:3: targets[1]: octo-org/old is archived
config.yaml:9: webhooks[1].registry: zot needs one
config.yaml:15: webhooks[2].tags.regexp: matches no tag
config.yaml:19: webhooks[3].kind: there is no such kind
`)
	for _, want := range []error{errUnknownKind, errArchived} {
		if !errors.Is(err, want) {
			t.Errorf("the error does not wrap %q", want)
		}
	}
}

func TestHooksAreNotAskedAboutWhatIsWrong(t *testing.T) {
	t.Parallel()
	o := lookups()
	o.CheckTarget = func(config.Target) error { return errors.New("asked") }
	o.CheckWebhook = func(config.Webhook) error { return errors.New("asked") }
	_, err := config.Parse("config.yaml", []byte("targets: [{repository: x}]\nwebhooks: [{name: a, kind: ghcr}]\n"), o)
	checkErrors(t, err, `
config.yaml:1: targets[0].repository: "x" is not a repository in the form owner/name
config.yaml:2: webhooks[0].secrets: is missing: kind "ghcr" needs it
`)
}

func TestTooLargeAFile(t *testing.T) {
	t.Parallel()
	_, err := config.Parse("config.yaml", []byte(strings.Repeat("#", config.MaxSize+1)), config.Options{})
	if !errors.Is(err, config.ErrTooLarge) {
		t.Errorf("got %v, want %v", err, config.ErrTooLarge)
	}
	checkErrors(t, err, "\nconfig.yaml: the file has more than 1048576 bytes\n")
}

func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	_, err := config.Parse("config.yaml", []byte("targets:\n"+strings.Repeat("  - {}\n", 100)), config.Options{})
	var errs config.Errors
	if !errors.As(err, &errs) || len(errs) != config.MaxErrors {
		t.Fatalf("%d errors, want %d", len(errs), config.MaxErrors)
	}
	if got, want := errs[0].Error(), "config.yaml:2: targets[0]: nothing is in it: leave it out or fill it"; got != want {
		t.Errorf("the first is %q, want %q", got, want)
	}
	if got, want := errs[config.MaxErrors-1].Error(), "config.yaml: 81 more errors are not shown"; got != want {
		t.Errorf("the last is %q, want %q", got, want)
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	repo, err := image.ParseRepository("ghcr.io/octo-org/app")
	if err != nil {
		t.Fatal(err)
	}
	tag, err := image.ParseTag("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.ParseDigest("sha256:" + strings.Repeat("0a", 32))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ template, want string }{
		{"Deploy {name} {version}", "Deploy app 1.2.3"},
		{"\n{image}@{digest}\r\n\r\n} and {\n", "ghcr.io/octo-org/app@" + digest.String() + "\n\n} and {"},
		{"}{name}{", "}app{"},
	}
	for _, tt := range tests {
		t.Run(tt.template, func(t *testing.T) {
			t.Parallel()
			message, err := config.ParseMessage(tt.template)
			if err != nil {
				t.Fatal(err)
			}
			if got := message.Fill(repo, tag, digest); got != tt.want || message.IsZero() {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// checkErrors compares the errors' lines, of which each must stand alone.
func checkErrors(t *testing.T, err error, want string) {
	t.Helper()
	var errs config.Errors
	if !errors.As(err, &errs) || len(errs) == 0 {
		t.Fatalf("got %v, which is not config.Errors with one error at least", err)
	}
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), errs.Error()+"\n"); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if lines := strings.Count(errs.Error(), "\n") + 1; lines != len(errs) {
		t.Errorf("%d errors are %d lines", len(errs), lines)
	}
}
