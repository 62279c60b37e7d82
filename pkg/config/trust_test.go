package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
)

// withoutLines leaves out where callers and rules stand in the file.
var withoutLines = cmp.Options{cmpopts.IgnoreFields(config.Caller{}, "Line"), cmpopts.IgnoreFields(config.Rule{}, "Line")}

func TestCallersAndRules(t *testing.T) {
	t.Parallel()
	const in = `
targets:
  - name: production
    repository: octo-org/infra
callers:
  - name: release-bot
    tokens: [{env: RELEASE_BOT_TOKEN}, {sha256: 2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824}]
    read: all
  - name: ours
    oidc:
      issuer: github
      audience: https://versions.example.com
      claims: {repository_owner_id: 42, repo_property_team: [web, shop]}
      ca_file: /etc/ca.pem
rules:
  - name: releases
    callers: [release-bot, ours, of-the-variable]
    images: ["ghcr.io/${repository}/**"]
    targets: [production]
    versions: {regexp: "^v"}
    release_holds: true
`
	o := lookups()
	o.Callers = []string{"of-the-variable"}
	got, err := config.Parse("config.yaml", []byte(in), o)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.File{
		Targets: []config.Target{{
			Name: "production", Repository: "octo-org/infra", Embedded: true,
		}},
		Callers: []config.Caller{
			{Name: "release-bot", Read: config.ReadAll, Tokens: []config.Token{
				{Secret: config.NewSecret("secret of RELEASE_BOT_TOKEN")},
				{SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"},
			}},
			{Name: "ours", OIDC: &config.OIDC{
				Issuer: "github", Audience: "https://versions.example.com",
				Claims: map[string][]string{"repository_owner_id": {"42"}, "repo_property_team": {"web", "shop"}},
				CAFile: "/etc/ca.pem", CA: []byte("secret in /etc/ca.pem\n"),
			}},
		},
		Rules: []config.Rule{{
			Name: "releases", Callers: []string{"release-bot", "ours", "of-the-variable"}, Images: []string{"ghcr.io/${repository}/**"},
			Targets: []string{"production"}, ReleaseHolds: true, Versions: config.Tags{Regexp: "^v"},
		}},
		HasRules: true,
	}
	if diff := cmp.Diff(want, got, compared, withoutLines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// No rules allow everything, an empty list of them nothing.
func TestRulesThatAreNone(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"targets: [{repository: octo-org/infra}]\n":            false,
		"targets: [{repository: octo-org/infra}]\nrules: []\n": true,
	} {
		got, err := config.Parse("config.yaml", []byte(in), lookups())
		if err != nil || got.HasRules != want || len(got.Rules) != 0 {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

// pin_digests has three meanings: true, false, and left out.
func TestPinDigests(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct{ pin, unpin bool }{
		"": {false, false}, ", pin_digests: true": {true, false}, ", pin_digests: false": {false, true},
	} {
		file, err := config.Parse("config.yaml", []byte("targets: [{repository: octo-org/infra"+text+"}]\n"), lookups())
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := file.Targets[0]; got.PinDigests != want.pin || got.Unpin != want.unpin {
			t.Errorf("%q: PinDigests %t, Unpin %t", text, got.PinDigests, got.Unpin)
		}
	}
}
