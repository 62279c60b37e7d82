package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// notification is one event of CNCF Distribution, with changes to its parts.
func notification(changes map[string]any) string {
	e := map[string]any{"id": "1", "action": "push", "host": "registry.example.com", "repository": "team/app", "tag": "1.0", "timestamp": "2026-11-20T09:14:31Z"}
	for name, value := range changes {
		e[name] = value
	}
	body, err := json.Marshal(map[string]any{
		"id": e["id"], "action": e["action"], "timestamp": e["timestamp"],
		"target":  map[string]any{"repository": e["repository"], "tag": e["tag"], "digest": e["digest"], "mediaType": "application/vnd.oci.image.index.v1+json"},
		"request": map[string]any{"host": e["host"]},
	})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func envelope(events ...string) string { return `{"events":[` + strings.Join(events, ",") + `]}` }

// What is not a push, or names none, is ignored.
func TestNoPush(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, part string
		value      any
		says       string
	}{
		{"a tag that is no text", "tag", 1.5, "untagged"},
		{"a tag that is an object", "tag", map[string]any{"name": "1"}, "untagged"},
		{"a signature of cosign", "tag", "sha256-" + strings.Repeat("a", 64) + ".sig", "attachment"},
		{"an attestation of cosign", "tag", "sha512-" + strings.Repeat("a", 128) + ".att", "attachment"},
		{"a list of referrers", "tag", "sha256-" + strings.Repeat("a", 64), "attachment"},
		{"no repository", "repository", "", "names no repository"},
		{"a repository that is a list", "repository", []string{"a"}, "names no repository"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := authentic(webhook.KindDistribution, []byte(envelope(notification(map[string]any{tt.part: tt.value}))))
			got := mustReceive(t, options(webhook.KindDistribution), r)
			if len(got.Pushes) > 0 || !strings.Contains(got.Ignored, tt.says) {
				t.Errorf("pushed %v, ignored with %q, want %q", pushesOf(got), got.Ignored, tt.says)
			}
			checkWhole(t, got)
		})
	}
}

// A push that cannot be read is not ignored: somebody has to see it.
func TestGrammar(t *testing.T) {
	t.Parallel()
	good := push{Image: "registry.example.com/team/app", Tag: "1.0", ID: "2", Time: "2026-11-20T09:14:31Z"}
	for _, tt := range []struct {
		name, part string
		value      any
		says       string
	}{
		{"a tag with a line break", "tag", "1.0\n- image: evil", `holds '\n'`},
		{"a tag with a blank", "tag", "1 0", "holds ' '"},
		{"a tag that is too long", "tag", strings.Repeat("a", 129), "129 bytes"},
		{"a repository that climbs", "repository", "../x", "not a repository name"},
		{"a repository with a tag", "repository", "team/app:2", "holds the tag"},
		{"a repository with a digest", "repository", "team/app@" + digest("x"), "holds a digest"},
		{"a repository that begins with a slash", "repository", "/team/app", "not a repository name"},
		{"a repository with an escape", "repository", "team/app\x1b[31m", "holds"},
		{"a repository that is too long", "repository", strings.Repeat("a", 300), "at most 255"},
		{"a short digest", "digest", "sha256:abc", "hexadecimal digits"},
		{"a digest with another algorithm", "digest", "md5:abc", "does not begin with"},
		{"a digest with a line break", "digest", digest("x") + "\n", `holds '\n'`},
		{"a host with a line break", "host", "registry.example.com\n", `'\n'`},
		{"a host with a user", "host", "ci@registry.example.com", "digest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bad := notification(map[string]any{tt.part: tt.value})
			r := authentic(webhook.KindDistribution, []byte(envelope(bad)))
			got := mustReceive(t, options(webhook.KindDistribution), r)
			if len(got.Pushes) != 1 || !got.Pushes[0].Image.IsZero() || !strings.Contains(got.Pushes[0].Unusable, tt.says) {
				t.Errorf("pushed %v, want an unusable one that says %q", pushesOf(got), tt.says)
			}
			checkWhole(t, got)

			r = authentic(webhook.KindDistribution, []byte(envelope(bad, notification(map[string]any{"id": "2"}))))
			got = mustReceive(t, options(webhook.KindDistribution), r)
			if len(got.Pushes) != 2 || got.Pushes[0].Unusable == "" {
				t.Fatalf("beside a good one: %v", pushesOf(got))
			}
			if diff := cmp.Diff([]push{good}, pushesOf(got)[1:]); diff != "" {
				t.Errorf("beside a good one (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	const fix = "no registry host in the payload: set registry, or a rewrite, on the source"
	app := push{Tag: "1.0", ID: "1", Time: "2026-11-20T09:14:31Z"}
	named := func(image string) []push { p := app; p.Image = image; return []push{p} }
	unnamed := func(name string) []push { p := app; p.Name, p.Version, p.Unusable = name, "1.0", fix; return []push{p} }
	rewrite := func(pairs ...string) func(*webhook.Options) {
		return func(o *webhook.Options) {
			for i := 0; i < len(pairs); i += 2 {
				o.Rewrite = append(o.Rewrite, webhook.Rewrite{From: pairs[i], To: pairs[i+1]})
			}
		}
	}
	registry := func(host string) func(*webhook.Options) {
		return func(o *webhook.Options) { o.Registry = host }
	}
	images := func(globs ...string) func(*webhook.Options) {
		return func(o *webhook.Options) { o.Images = globs }
	}
	body := func(host, repository string) string {
		return envelope(notification(map[string]any{"host": host, "repository": repository}))
	}
	receive(t, webhook.KindDistribution, []reception{
		{name: "upper case", body: body("Registry.Example.com", "Team/App"), want: named("registry.example.com/team/app")},
		{name: "a port", body: body("localhost:5000", "app"), want: named("localhost:5000/app")},
		{name: "an address", body: body("[2001:db8::1]:5000", "app"), want: named("[2001:db8::1]:5000/app")},
		{name: "the host of the source wins", body: body("10.0.0.7:5000", "team/app"), options: registry("registry.example.com"), want: named("registry.example.com/team/app")},
		{name: "no host", body: body("", "team/app"), want: unnamed("team/app")},
		{name: "a host that reads as a folder", body: body("registry", "team/app"), want: unnamed("team/app")},
		{name: "a host with a path", body: body("registry.example.com/x", "team/app"), want: unnamed("team/app")},
		{name: "an image of the source's images", body: body("registry.example.com", "team/app"), options: images("ghcr.io/**", "registry.example.com/team/*"), want: named("registry.example.com/team/app")},
		{
			name: "an image that is none of them", body: body("registry.example.com", "other/app"), options: images("registry.example.com/team/*"),
			ignored: "the image registry.example.com/other/app is none of the source's images", refusal: webhook.OtherImage,
		},
		{name: "an image that is rewritten to one of them", body: body("registry.example.com", "other/app"), options: func(o *webhook.Options) {
			images("ghcr.io/octo-org/*")(o)
			rewrite("registry.example.com/other", "ghcr.io/octo-org")(o)
		}, want: named("ghcr.io/octo-org/app")},
		{name: "rewritten", body: body("registry.internal:5000", "apps/web"), options: rewrite("registry.internal:5000/apps", "registry.example.com"), want: named("registry.example.com/web")},
		{name: "rewritten whole", body: body("registry.internal:5000", "apps/web"), options: rewrite("registry.internal:5000/apps/web", "ghcr.io/octo-org/site"), want: named("ghcr.io/octo-org/site")},
		{name: "rewritten by components alone", body: body("registry.internal:5000", "apps-old/web"), options: rewrite("registry.internal:5000/apps", "registry.example.com"), want: named("registry.internal:5000/apps-old/web")},
		{name: "only the first rewrite", body: body("a.example.com", "web"), options: rewrite("a.example.com", "b.example.com", "b.example.com", "c.example.com"), want: named("b.example.com/web")},
		{name: "rewritten after the source's host", body: body("10.0.0.7:5000", "proxy/web"), options: func(o *webhook.Options) {
			registry("registry.example.com")(o)
			rewrite("registry.example.com/proxy", "docker.io/library")(o)
		}, want: named("docker.io/library/web")},
		{name: "rewritten to a host", body: body("registry", "apps/web"), options: rewrite("apps", "registry.example.com/apps"), want: named("registry.example.com/apps/web")},
	})
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, given, want string
	}{
		{"RFC 3339", `"2026-11-20T09:14:31Z"`, "2026-11-20T09:14:31Z"},
		{"another zone", `"2026-11-20T11:14:31.5+02:00"`, "2026-11-20T09:14:31.5Z"},
		{"a zone without a colon", `"2026-11-20T11:14:31.664+0200"`, "2026-11-20T09:14:31.664Z"},
		{"seconds", `1795166071`, "2026-11-20T09:14:31Z"},
		{"a float", `1.795166071e+09`, "2026-11-20T09:14:31Z"},
		{"a fraction", `1795166071.25`, "2026-11-20T09:14:31.25Z"},
		{"milliseconds", `1795166071250`, "2026-11-20T09:14:31.25Z"},
		{"seconds in a text", `"1795166071"`, "2026-11-20T09:14:31Z"},
		{"a clock that is a little ahead", `"2026-11-21T12:30:00Z"`, "2026-11-21T12:30:00Z"},
		{"the future", `"2026-11-21T13:30:00Z"`, ""},
		{"the far future", `99999999999`, ""},
		{"before there were registries", `"1999-12-31T23:59:59Z"`, ""},
		{"zero", `0`, ""},
		{"negative", `-5`, ""},
		{"huge", `1e300`, ""},
		{"a word", `"yesterday"`, ""},
		{"no number", `"NaN"`, ""},
		{"infinite", `"Inf"`, ""},
		{"an object", `{"seconds": 1795166071}`, ""},
		{"null", `null`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := envelope(notification(map[string]any{"timestamp": json.RawMessage(tt.given)}))
			got := mustReceive(t, options(webhook.KindDistribution), authentic(webhook.KindDistribution, []byte(body)))
			want := []push{{Image: "registry.example.com/team/app", Tag: "1.0", ID: "1", Time: tt.want}}
			if diff := cmp.Diff(want, pushesOf(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	ids := func(t *testing.T, filter webhook.TagFilter, events ...string) []string {
		t.Helper()
		o := options(webhook.KindDistribution)
		o.Tags = filter
		got := mustReceive(t, o, authentic(webhook.KindDistribution, []byte(envelope(events...))))
		checkWhole(t, got)
		var all []string
		for _, p := range got.Pushes {
			all = append(all, p.ID)
		}
		return all
	}
	tag := func(id, tag string) string { return notification(map[string]any{"id": id, "tag": tag}) }
	one, two, three := tag("e", "1"), tag("e", "2"), tag("", "3")

	if diff := cmp.Diff([]string{"e", "e#2", ""}, ids(t, webhook.TagFilter{}, one, two, three)); diff != "" {
		t.Errorf("one id for two pushes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"e"}, ids(t, webhook.TagFilter{}, one, one, one)); diff != "" {
		t.Errorf("the same push thrice (-want +got):\n%s", diff)
	}
	second := must(t)(webhook.ParseTagRegexp("^2$"))
	if diff := cmp.Diff([]string{"e#2"}, ids(t, second, one, two, three)); diff != "" {
		t.Errorf("a filter must not change an id (-want +got):\n%s", diff)
	}
	for _, strange := range []string{strings.Repeat("x", 201), "a\nb", "é"} {
		got := ids(t, webhook.TagFilter{}, tag(strange, "1"))
		if again := ids(t, webhook.TagFilter{}, tag(strange, "1")); len(got) != 1 || len(got[0]) != 64 || got[0] != again[0] {
			t.Errorf("the id %q became %q and then %q", strange, got, again)
		}
	}
	// An id that looks like a numbered one is not taken for it.
	ids(t, webhook.TagFilter{}, tag("e", "1"), tag("e#2", "2"), tag("e", "3"))
}

func TestFilterComesLast(t *testing.T) {
	t.Parallel()
	filter := func(text string) func(*webhook.Options) {
		return func(o *webhook.Options) { o.Tags = must(t)(webhook.ParseTagRange(text)) }
	}
	tag := func(tag string) string { return notification(map[string]any{"tag": tag}) }
	receive(t, webhook.KindDistribution, []reception{
		{name: "no tag passes", body: envelope(tag("latest"), tag("1.0")), options: filter(">=2"), ignored: "the tag latest does not pass the filter; the tag 1.0 does not pass the filter"},
		{
			name: "one passes", body: envelope(tag("latest"), tag("2.1")), options: filter(">=2"),
			want:    []push{{Image: "registry.example.com/team/app", Tag: "2.1", ID: "1#2", Time: "2026-11-20T09:14:31Z"}},
			dropped: []string{"the tag latest does not pass the filter"},
		},
		{name: "what is not a push is told as such", body: envelope(tag("")), options: filter(">=2"), ignored: "untagged"},
	})
}

func TestManyEvents(t *testing.T) {
	t.Parallel()
	receive := func(pushes int) webhook.Delivery {
		t.Helper()
		var events []string
		for i := range pushes {
			events = append(events, notification(map[string]any{"tag": fmt.Sprint("v", i)}), notification(map[string]any{"tag": fmt.Sprint("v", i)}))
		}
		for i := range 3000 {
			events = append(events, notification(map[string]any{"action": fmt.Sprint("a", i)}))
		}
		got := mustReceive(t, options(webhook.KindDistribution), authentic(webhook.KindDistribution, []byte(envelope(events...))))
		checkWhole(t, got)
		return got
	}
	if got := receive(webhook.MaxPushes); len(got.Pushes) != webhook.MaxPushes || len(got.Dropped) != 10 || got.Pushes[0].Unusable != "" {
		t.Errorf("as many as may be: %d pushes and %d reasons", len(got.Pushes), len(got.Dropped))
	}
	got := receive(webhook.MaxPushes + 1)
	if len(got.Pushes) != 1 || got.Pushes[0].Name != "registry.example.com/team/app" || !strings.Contains(got.Pushes[0].Unusable, "more than 100 pushes, and nothing of it was taken") {
		t.Errorf("one too many: %v", pushesOf(got))
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, says string }{
		{"empty", "", "is empty"},
		{"blank", " \n", "is empty"},
		{"a form", "payload=%7B%7D", "application/json"},
		{"half an object", `{"a":`, "unexpected end"},
		{"two values", `{}{}`, "after top-level value"},
		{"HTML", "<html>\x1b[31m", "invalid character"},
		{"too deep", strings.Repeat("[", 20_000), "depth"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range webhook.Kinds() {
				if kind == webhook.KindGAR {
					continue // Pub/Sub would send it again for a week: it is ignored.
				}
				_, err := send(t.Context(), newSource(t, options(kind)), authentic(kind, []byte(tt.body)))
				wantKind(t, err, webhook.ErrMalformed)
				var malformed *webhook.MalformedError
				if !errors.As(err, &malformed) || !strings.Contains(malformed.Cause, tt.says) || strings.ContainsAny(malformed.Cause, "\x1b\n") {
					t.Errorf("kind %s: %v does not say %q", kind, err, tt.says)
				}
			}
		})
	}
}

func TestOtherShapesAreIgnored(t *testing.T) {
	t.Parallel()
	for _, kind := range webhook.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			for _, body := range []string{"null", "{}", "[]", "[[]]", "[null]", "7", `"text"`, "true", `[{"type":1,"data":[1]}]`, `{"events":{}}`} {
				r := authentic(kind, []byte(body))
				if got := mustReceive(t, options(kind), r); len(got.Pushes) > 0 {
					t.Errorf("%s pushed %v", body, pushesOf(got))
				} else {
					checkWhole(t, got)
				}
			}
		})
	}
}
