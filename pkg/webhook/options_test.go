package webhook_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		kind   webhook.Kind
		change func(*webhook.Options)
		option string
		says   string
	}{
		{"another kind", "gitea", nil, "kind", `"gitea" is not a kind`},
		{"no kind", "", nil, "kind", "write one of"},
		{"no secret", webhook.KindGHCR, func(o *webhook.Options) { o.Secrets = nil }, "secrets", "is missing"},
		{"an empty secret", webhook.KindGHCR, func(o *webhook.Options) { o.Secrets = []string{secret, ""} }, "secrets", "number 2 is empty"},
		{"a secret with a line break", webhook.KindGHCR, func(o *webhook.Options) { o.Secrets = []string{secret + "\n"} }, "secrets", "line break"},
		{"a secret with a blank at the end", webhook.KindGHCR, func(o *webhook.Options) { o.Secrets = []string{secret + " "} }, "secrets", "white space"},
		{"zot without registry", webhook.KindZot, func(o *webhook.Options) { o.Registry = "" }, "registry", "kind zot do not name the registry"},
		{"nexus without registry", webhook.KindNexus, func(o *webhook.Options) { o.Registry = "" }, "registry", "host[:port]"},
		{"a registry with scheme", webhook.KindQuay, func(o *webhook.Options) { o.Registry = "https://quay.io" }, "registry", "leave out scheme"},
		{"a registry that reads as a folder", webhook.KindQuay, func(o *webhook.Options) { o.Registry = "registry" }, "registry", "needs a dot"},
		{"a registry in upper case", webhook.KindQuay, func(o *webhook.Options) { o.Registry = "Quay.io" }, "registry", "upper-case"},
		{"a registry with a blank", webhook.KindQuay, func(o *webhook.Options) { o.Registry = "quay.io " }, "registry", "holds ' '"},
		{"a rewrite to no host", webhook.KindQuay, func(o *webhook.Options) { o.Rewrite = []webhook.Rewrite{{From: "quay.io/a", To: "a"}} }, "rewrite", "number 1, to"},
		{"a rewrite to nothing", webhook.KindQuay, func(o *webhook.Options) { o.Rewrite = []webhook.Rewrite{{From: "quay.io/a"}} }, "rewrite", "is empty"},
		{"a rewrite from nothing", webhook.KindQuay, func(o *webhook.Options) { o.Rewrite = []webhook.Rewrite{{To: "quay.io/a"}} }, "rewrite", "number 1, from"},
		{"a rewrite with a slash at the end", webhook.KindQuay, func(o *webhook.Options) { o.Rewrite = []webhook.Rewrite{{From: "quay.io/", To: "ghcr.io"}} }, "rewrite", "from"},
		{"gar without audience", webhook.KindGAR, func(o *webhook.Options) { o.Audience = "" }, "audience", "push subscription"},
		{"gar without service account", webhook.KindGAR, func(o *webhook.Options) { o.ServiceAccount = "" }, "service_account", "email address"},
		{"gar with a secret", webhook.KindGAR, func(o *webhook.Options) { o.Secrets = []string{secret} }, "secrets", "leave them out"},
		{"gar without transport", webhook.KindGAR, func(o *webhook.Options) { o.Transport = nil }, "transport", "through it"},
		{"gar with keys from a file", webhook.KindGAR, func(o *webhook.Options) { o.Keys.URL = "file:///etc/keys" }, "keys", "not an http"},
		{"an audience elsewhere", webhook.KindQuay, func(o *webhook.Options) { o.Audience = audience }, "audience", "only kind gar"},
		{"a service account elsewhere", webhook.KindQuay, func(o *webhook.Options) { o.ServiceAccount = account }, "service_account", "only kind gar"},
		{"generic without paths", webhook.KindGeneric, func(o *webhook.Options) { o.Generic = nil }, "generic", "JSON pointers"},
		{"generic without image", webhook.KindGeneric, func(o *webhook.Options) { o.Generic.Image = "" }, "generic.image", "missing"},
		{"generic with a path of dots", webhook.KindGeneric, func(o *webhook.Options) { o.Generic.Version = "$.tag" }, "generic.version", "begins with a slash"},
		{"generic with a bad escape", webhook.KindGeneric, func(o *webhook.Options) { o.Generic.Digest = "/a~2" }, "generic.digest", "tilde"},
		{"generic signed in no header", webhook.KindGeneric, func(o *webhook.Options) { o.Generic.Signature = &webhook.Signature{} }, "generic.signature.header", "not a header name"},
		{"generic signed in two headers", webhook.KindGeneric, func(o *webhook.Options) { o.Generic.Signature = &webhook.Signature{Header: "X-A, X-B"} }, "generic.signature.header", "not a header name"},
		{"paths elsewhere", webhook.KindQuay, func(o *webhook.Options) { o.Generic = &webhook.Generic{Image: "/image"} }, "generic", "only kind generic"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options(tt.kind)
			if tt.change != nil {
				tt.change(&o)
			}
			_, err := webhook.New(o)
			var option *webhook.OptionError
			if !errors.As(err, &option) {
				t.Fatalf("got %v, want an OptionError", err)
			}
			if option.Option != tt.option || option.Source != o.Name || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %s to say %q", err, tt.option, tt.says)
			}
			if strings.Contains(err.Error(), secret) {
				t.Error("the error tells the secret")
			}
		})
	}
}

func TestNewTellsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	_, err := webhook.New(webhook.Options{Name: "builds", Kind: webhook.KindZot})
	for _, part := range []string{`"builds": secrets:`, `"builds": registry:`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not hold %q", err, part)
		}
	}
}

func TestSwitchedOnBySecret(t *testing.T) {
	t.Parallel()
	for _, kind := range webhook.Kinds() {
		_, err := webhook.New(webhook.Options{Name: "x", Kind: kind, Secrets: []string{secret}})
		// EventBridge would work with a secret as well, and is set up in more steps anyway;
		// GitHub's own events are for targets that the file describes.
		want := slices.Contains(webhook.SwitchedOnBySecret(), kind) || kind == webhook.KindECR || kind == webhook.KindGitHub
		if (err == nil) != want {
			t.Errorf("kind %s with a secret alone: %v", kind, err)
		}
	}
}

func TestTagFilter(t *testing.T) {
	t.Parallel()
	regexp := func(text string) webhook.TagFilter { return must(t)(webhook.ParseTagRegexp(text)) }
	within := func(text string) webhook.TagFilter { return must(t)(webhook.ParseTagRange(text)) }
	tests := []struct {
		name     string
		filter   webhook.TagFilter
		takes    []string
		takesNot []string
	}{
		{"none", webhook.TagFilter{}, []string{"latest", "1.0", "05-06-42a252"}, nil},
		{"a part of the tag", regexp(`-[0-9a-f]{6}$`), []string{"05-06-42a252"}, []string{"latest", "05-06-42a252-dirty"}},
		{"the whole tag", regexp(`^v[0-9]+$`), []string{"v1", "v22"}, []string{"v1.0", "xv1"}},
		{"a range", within(">=1.2 <2"), []string{"1.2", "1.2.0", "v1.9.3"}, []string{"1.1.9", "2.0.0", "latest", "1.5.0-rc.1", "main-1.5.0", ""}},
		{"a range with pre-releases", within(">=1.2-0 <2"), []string{"1.2", "1.5.0-rc.1"}, []string{"1.1"}},
		{"either range", within("~1.4 || 2.x"), []string{"1.4.9", "2.7.0"}, []string{"1.5.0", "3.0.0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, tag := range tt.takes {
				if !tt.filter.Takes(tag) {
					t.Errorf("does not take %q", tag)
				}
			}
			for _, tag := range tt.takesNot {
				if tt.filter.Takes(tag) {
					t.Errorf("takes %q", tag)
				}
			}
		})
	}
	if _, err := webhook.ParseTagRegexp("("); err == nil {
		t.Error("half an expression is none")
	}
	if _, err := webhook.ParseTagRange("newest"); err == nil {
		t.Error("a word is no range")
	}
}

func must(t *testing.T) func(webhook.TagFilter, error) webhook.TagFilter {
	return func(f webhook.TagFilter, err error) webhook.TagFilter {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
}
