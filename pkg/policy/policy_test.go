package policy_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
)

func patterns(t testing.TB, texts ...string) []policy.Pattern {
	t.Helper()
	var all []policy.Pattern
	for _, text := range texts {
		p, err := policy.ParsePattern(text)
		if err != nil {
			t.Fatalf("ParsePattern(%q): %v", text, err)
		}
		all = append(all, p)
	}
	return all
}

func move(t testing.TB, name, version, target string) policy.Move {
	t.Helper()
	repository, err := image.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := image.ParseTag(version)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Move{Image: repository, Version: tag, Target: target}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	within, err := policy.ParseRange(">=1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	p := policy.New([]policy.Rule{
		{Name: "own-image", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/${repository}", "ghcr.io/${repository}/**"), Targets: []string{"staging"}},
		{
			Name: "releases", Callers: []string{"release-bot"}, Images: patterns(t, "ghcr.io/octo-org/**"), Targets: []string{"production"},
			Versions: within,
		},
		{Name: "wide", Callers: []string{"release-bot"}, Images: patterns(t, "ghcr.io/octo-org/shop")},
	})
	ours := policy.Caller{Names: []string{"ours"}, Claims: map[string]string{"repository": "Octo-Org/Web", "repository_owner_id": "42"}}
	bot := policy.Caller{Names: []string{"release-bot"}}

	tests := map[string]struct {
		caller policy.Caller
		move   policy.Move
		want   policy.Decision
	}{
		"its own image, in upper case": {ours, move(t, "ghcr.io/octo-org/web", "1.0.0", "staging"), policy.Decision{Allowed: true, Rule: "own-image"}},
		"an image below it":            {ours, move(t, "ghcr.io/octo-org/web/api", "main-1", "staging"), policy.Decision{Allowed: true, Rule: "own-image"}},
		"another's image": {ours, move(t, "ghcr.io/octo-org/web-admin", "1.0.0", "staging"), policy.Decision{Rule: "own-image", Reasons: []string{
			"the image ghcr.io/octo-org/web-admin is none of ghcr.io/octo-org/web (from ghcr.io/${repository}), ghcr.io/octo-org/web/** (from ghcr.io/${repository}/**)",
		}}},
		"another registry": {ours, move(t, "octo-org/web", "1.0.0", "staging"), policy.Decision{Rule: "own-image", Reasons: []string{
			"the image docker.io/octo-org/web is none of ghcr.io/octo-org/web (from ghcr.io/${repository}), ghcr.io/octo-org/web/** (from ghcr.io/${repository}/**)",
		}}},
		"another target": {ours, move(t, "ghcr.io/octo-org/web", "1.0.0", "production"), policy.Decision{Rule: "own-image", Reasons: []string{
			"the target production is none of staging",
		}}},
		"a version without the range": {bot, move(t, "ghcr.io/octo-org/web", "0.9.0", "production"), policy.Decision{Rule: "releases", Reasons: []string{
			"the version 0.9.0 is not within >=1.0.0",
		}}},
		"a version that is none": {bot, move(t, "ghcr.io/octo-org/web", "10-10-ver", "production"), policy.Decision{Rule: "releases", Reasons: []string{
			"the version 10-10-ver is no MAJOR.MINOR.PATCH, which the range >=1.0.0 asks for",
		}}},
		"a version with a v":     {bot, move(t, "ghcr.io/octo-org/web", "v1.2.3", "production"), policy.Decision{Allowed: true, Rule: "releases"}},
		"a rule without targets": {bot, move(t, "ghcr.io/octo-org/shop", "main-7", "staging"), policy.Decision{Allowed: true, Rule: "wide"}},
		"no rule": {policy.Caller{Names: []string{"stranger"}}, move(t, "ghcr.io/octo-org/web", "1.0.0", "staging"), policy.Decision{
			Reasons: []string{"no rule names the caller stranger"},
		}},
		"a claim that is missing": {policy.Caller{Names: []string{"ours"}, Claims: map[string]string{}}, move(t, "ghcr.io/octo-org/web", "1.0.0", "staging"), policy.Decision{
			Rule: "own-image", Reasons: []string{
				"the image ghcr.io/octo-org/web is none of ghcr.io/${repository} (the token has no claim repository that is a text), ghcr.io/${repository}/** (the token has no claim repository that is a text)",
			},
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.want.Rule == "own-image" {
				test.want.Claims = []string{"repository"}
			}
			if diff := cmp.Diff(test.want, p.Decide(test.caller, test.move)); diff != "" {
				t.Errorf("Decide (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoRulesAllowNothing(t *testing.T) {
	t.Parallel()
	d := policy.New(nil).Decide(policy.Caller{Names: []string{"ci"}}, move(t, "nginx", "1", "staging"))
	if d.Allowed || d.Rule != "" || len(d.Reasons) != 1 {
		t.Errorf("Decide: %+v", d)
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	p := policy.New([]policy.Rule{{Name: "a", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/${repository}"), Targets: []string{"staging"}}})
	ours := policy.Caller{Names: []string{"ours"}, Claims: map[string]string{"repository": "octo-org/web"}}
	for _, test := range []struct {
		image, target string
		want          bool
	}{
		{"ghcr.io/octo-org/web", "staging", true},
		{"ghcr.io/octo-org/web", "production", false},
		{"ghcr.io/octo-org/shop", "staging", false},
	} {
		if got := p.Covers(ours, move(t, test.image, "1", test.target).Image, test.target); got != test.want {
			t.Errorf("Covers(%s, %s) = %t", test.image, test.target, got)
		}
	}
}

func TestPatternMatches(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pattern, claim, image string
		want                  bool
	}{
		"a path":                      {"ghcr.io/${c}", "octo-org/web", "ghcr.io/octo-org/web", true},
		"separators":                  {"ghcr.io/${c}", "octo--org/we_b.x__y", "ghcr.io/octo--org/we_b.x__y", true},
		"part of a component":         {"ghcr.io/octo-org/${c}-worker", "web", "ghcr.io/octo-org/web-worker", true},
		"Docker Hub":                  {"${c}", "", "", false}, // refused below
		"docker.io":                   {"docker.io/${c}", "octo-org/web", "octo-org/web", true},
		"a wildcard in the claim":     {"ghcr.io/${c}", "octo-org/*", "ghcr.io/octo-org/web", false},
		"two wildcards in the claim":  {"ghcr.io/${c}", "**", "ghcr.io/octo-org/web", false},
		"a brace in the claim":        {"ghcr.io/${c}", "{octo-org/web,x}", "ghcr.io/octo-org/web", false},
		"an escape in the claim":      {"ghcr.io/${c}", `octo-org\/web`, "ghcr.io/octo-org/web", false},
		"a claim in the claim":        {"ghcr.io/${c}", "${c}", "ghcr.io/octo-org/web", false},
		"an empty claim":              {"ghcr.io/octo-org/web${c}", "", "ghcr.io/octo-org/web", false},
		"a slash in front":            {"ghcr.io/${c}", "/octo-org/web", "ghcr.io/octo-org/web", false},
		"a dot component":             {"ghcr.io/octo-org/${c}", "../evil", "ghcr.io/evil", false},
		"letters that fold to others": {"ghcr.io/octo-org/${c}", "\u212Aube", "ghcr.io/octo-org/kube", false},
		"a line break":                {"ghcr.io/octo-org/${c}", "web\n", "ghcr.io/octo-org/web", false},
		"every image":                 {"**", "", "ghcr.io/octo-org/web", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := policy.ParsePattern(test.pattern)
			if err != nil {
				if test.want {
					t.Fatal(err)
				}
				return
			}
			repository, err := image.ParseRepository(test.image)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Matches(map[string]string{"c": test.claim}, repository); got != test.want {
				t.Errorf("Matches = %t", got)
			}
		})
	}
}

func TestParsePatternRefuses(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"":                                    "is empty",
		"${repository}":                       "write the registry out",
		"*/octo-org/web":                      "write the registry out",
		"ghcr.${c}/octo-org/web":              "write the registry out",
		"ghcr.io/${repository}*":              "same path component as a claim",
		"ghcr.io/x-*-${repository}":           "same path component as a claim",
		"ghcr.io/${repository":                "holds a ${ that is no claim",
		"ghcr.io/${}":                         "holds a ${ that is no claim",
		"ghcr.io/${a}/${b}/${c}/${d}/${e}":    "more than 4 claims",
		"ghcr.io/Octo-Org/**":                 "no upper-case letters",
		"ghcr.io//web":                        "is empty or a dot",
		"ghcr.io/../web":                      "is empty or a dot",
		"ghcr.io/octo-org/[a":                 "is not closed",
		"ghcr.io/octo-org/web:1.0":            "holds the tag",
		"ghcr.io/octo org/**":                 "no name holds",
		"ghcr.io/" + strings.Repeat("a", 600): "longer than 512",
	} {
		if _, err := policy.ParsePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePattern(%q): %v, want an error with %q", pattern, err, want)
		}
	}
}

// A rule without a claim in its patterns decides alike whatever the token says.
func TestClaimsWidenNoRuleWithoutThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policy.New([]policy.Rule{{Name: "r", Callers: []string{"ours"}, Images: patternsOf(t, "ghcr.io/octo-org/web", "ghcr.io/octo-org/*/x")}})
		name := rapid.StringMatching(`ghcr\.io/(octo-org|[a-z]{1,4})(/web|/x|/[a-z]{1,3}){1,3}`).Draw(t, "image")
		repository, err := image.ParseRepository(name)
		if err != nil {
			t.Fatal(err)
		}
		m := policy.Move{Image: repository, Target: "t"}
		claims := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "claims")
		without := p.Decide(policy.Caller{Names: []string{"ours"}}, m).Allowed
		with := p.Decide(policy.Caller{Names: []string{"ours"}, Claims: claims}, m).Allowed
		if with != without {
			t.Fatalf("%s: %t without claims, %t with %v", name, without, with, claims)
		}
	})
}

// A claim matches exactly the image of its own path, whatever its text is.
func FuzzClaimExpansion(f *testing.F) {
	for _, seed := range []string{"octo-org/web", "*", "**", "{a,b}", "..", "a/../b", "A/B", "[a-z]", `\`, "a//b", "${c}", "\u212A"} {
		f.Add(seed)
	}
	pattern, err := policy.ParsePattern("ghcr.io/${c}")
	if err != nil {
		f.Fatal(err)
	}
	victim, err := image.ParseRepository("ghcr.io/victim/image")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, claim string) {
		claims := map[string]string{"c": claim}
		if pattern.Matches(claims, victim) && !strings.EqualFold(claim, "victim/image") {
			t.Errorf("the claim %q matches %s", claim, victim)
		}
		own, err := image.ParseRepository("ghcr.io/" + strings.ToLower(claim))
		if err == nil && pattern.Matches(claims, own) && own.Name() != "ghcr.io/"+strings.ToLower(claim) {
			t.Errorf("the claim %q matches %s", claim, own.Name())
		}
	})
}

func FuzzParsePattern(f *testing.F) {
	for _, seed := range []string{"ghcr.io/${repository}/**", "nginx", "**", "a/{b,c}/[d]", "ghcr.io/${a}${b}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := policy.ParsePattern(text)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Errorf("String() = %q, want %q", p.String(), text)
		}
		host, _, _ := strings.Cut(text, "/")
		if text != "**" && strings.ContainsAny(host, "*?[{$") {
			t.Errorf("%q has a registry that is not literal", text)
		}
	})
}

func patternsOf(t *rapid.T, texts ...string) []policy.Pattern {
	var all []policy.Pattern
	for _, text := range texts {
		p, err := policy.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// A right of some rules counts only where such a rule covers the image and the target.
func TestDecideRelease(t *testing.T) {
	t.Parallel()
	p := policy.New([]policy.Rule{
		{Name: "all", Callers: []string{"ops", "dev"}, Images: patterns(t, "**")},
		{Name: "staging", Callers: []string{"ops"}, Images: patterns(t, "ghcr.io/**"), Targets: []string{"staging"}, ReleaseHolds: true},
	})
	tests := map[string]struct {
		caller, target string
		want           policy.Decision
	}{
		"covered":        {"ops", "staging", policy.Decision{Allowed: true, Rule: "staging"}},
		"another target": {"ops", "production", policy.Decision{Rule: "staging", Reasons: []string{"the target production is none of staging"}}},
		"no such rule":   {"dev", "staging", policy.Decision{Reasons: []string{"no rule with release_holds names the caller dev"}}},
	}
	for name, test := range tests {
		got := p.DecideRelease(policy.Caller{Names: []string{test.caller}}, move(t, "ghcr.io/octo-org/web", "1", "").Image, test.target)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDowngradeAndOverride(t *testing.T) {
	t.Parallel()
	web := patterns(t, "ghcr.io/octo-org/web")
	p := policy.New([]policy.Rule{
		{Name: "upwards", Callers: []string{"bot"}, Images: web, Targets: []string{"production", "staging"}, RefuseDowngrade: true},
		{Name: "any", Callers: []string{"bot"}, Images: web, Targets: []string{"staging"}},
		{Name: "back", Callers: []string{"bot"}, Images: web, Targets: []string{"production"}, RefuseDowngrade: true, Rollback: true},
		{Name: "urgent", Callers: []string{"bot"}, Images: web, Targets: []string{"production"}, RefuseDowngrade: true, OverrideFreeze: true},
	})
	bot := policy.Caller{Names: []string{"bot"}}
	override := func(m policy.Move) policy.Move { m.Override = true; return m }
	for name, test := range map[string]struct {
		move policy.Move
		want policy.Decision
	}{
		"a rule that refuses downgrades": {move(t, "ghcr.io/octo-org/web", "1.0.0", "production"), policy.Decision{Allowed: true, Rule: "upwards", RefuseDowngrade: true}},
		"another rule that does not":     {move(t, "ghcr.io/octo-org/web", "1.0.0", "staging"), policy.Decision{Allowed: true, Rule: "any"}},
		"a version without an order": {move(t, "ghcr.io/octo-org/web", "main-1", "production"), policy.Decision{Rule: "upwards", Reasons: []string{
			"the version main-1 is no MAJOR.MINOR.PATCH, so that it may be a downgrade, which is refused",
		}}},
		"a rollback":              {func(m policy.Move) policy.Move { m.Rollback = true; return m }(move(t, "ghcr.io/octo-org/web", "old", "production")), policy.Decision{Allowed: true, Rule: "back", Rollback: true}},
		"an override":             {override(move(t, "ghcr.io/octo-org/web", "1.0.0", "production")), policy.Decision{Allowed: true, Rule: "urgent", RefuseDowngrade: true}},
		"an override of no right": {override(move(t, "ghcr.io/octo-org/web", "1.0.0", "staging")), policy.Decision{Rule: "upwards", Reasons: []string{"it may not override a freeze"}}},
	} {
		if diff := cmp.Diff(test.want, p.Decide(bot, test.move)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestIsDowngrade(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		to, present string
		want        bool
	}{
		{"1.2.3", "1.2.4", true},
		{"v1.2.3", "1.10.0", true},
		{"1.2.3-rc.1", "1.2.3", true},
		{"1.2.3-rc.2", "1.2.3-rc.10", true},
		{"1.2.3", "1.2.3", false},
		{"1.2.4", "v1.2.3", false},
		{"1.2.3", "1.2.3-rc.1", false},
		{"1.2.3", "10-10-ver", false},
		{"10-10-ver", "1.2.3", false},
		{"1.2", "1.3.0", false},
		{"1.2.0", "1.3", false},
		{"1.2.3", "", false},
		{"1.2.3", "latest", false},
		{"1.2.3", "01.2.4", false},
		{"1.2.3", "99999999999999999999.0.0", false},
	} {
		v := move(t, "nginx", test.to, "t").Version
		if got := policy.IsDowngrade(v, test.present); got != test.want {
			t.Errorf("IsDowngrade(%s, %q) = %t", test.to, test.present, got)
		}
	}
}

// A rule allows what it allows without its other keys, or less of it.
func TestKeysOnlyNarrow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		within, err := policy.ParseRange(rapid.SampledFrom([]string{">=1.0.0", "<2.0.0", "*"}).Draw(t, "range"))
		if err != nil {
			t.Fatal(err)
		}
		wide := policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patternsOf(t, "ghcr.io/${repository}", "ghcr.io/octo-org/**"), OverrideFreeze: true}
		narrow := wide
		if rapid.Bool().Draw(t, "versions") {
			narrow.Versions = within
		}
		if rapid.Bool().Draw(t, "targets") {
			narrow.Targets = []string{"staging"}
		}
		narrow.RefuseDowngrade, narrow.OverrideFreeze = rapid.Bool().Draw(t, "downgrade"), rapid.Bool().Draw(t, "override")
		repository, err := image.ParseRepository("ghcr.io/" + rapid.SampledFrom([]string{"octo-org/web", "octo-org", "other/web"}).Draw(t, "image"))
		if err != nil {
			t.Fatal(err)
		}
		tag, err := image.ParseTag(rapid.SampledFrom([]string{"1.0.0", "0.9.0", "3.0.0", "main"}).Draw(t, "version"))
		if err != nil {
			t.Fatal(err)
		}
		m := policy.Move{Image: repository, Version: tag, Target: rapid.SampledFrom([]string{"staging", "production"}).Draw(t, "target"), Override: rapid.Bool().Draw(t, "asks")}
		c := policy.Caller{Names: []string{"ours"}, Claims: map[string]string{"repository": rapid.SampledFrom([]string{"octo-org/web", "other/web", "*", "**", ""}).Draw(t, "claim")}}
		if policy.New([]policy.Rule{narrow}).Decide(c, m).Allowed && !policy.New([]policy.Rule{wide}).Decide(c, m).Allowed {
			t.Fatalf("%+v is allowed by the narrow rule alone", m)
		}
	})
}

// A thousand rules with the longest patterns and claims are decided in a moment, also
// where the pattern could match in many ways.
func TestDecideIsBounded(t *testing.T) {
	var rules []policy.Rule
	for i := range 1000 {
		rules = append(rules, policy.Rule{Name: strconv.Itoa(i), Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/**/a/**/a/**/${c}/**/b", "ghcr.io/${c}${c}${c}${c}/b")})
	}
	long := strings.Repeat("a/", 100) + "a"
	c := policy.Caller{Names: []string{"ours"}, Claims: map[string]string{"c": long}}
	m := move(t, "ghcr.io/"+long, "1.0.0", "t")
	allocations := testing.AllocsPerRun(1, func() {
		if policy.New(rules).Decide(c, m).Allowed {
			t.Error("it is allowed")
		}
	})
	if most := 100 * float64(len(rules)); allocations > most {
		t.Errorf("%.0f allocations, want at most %.0f", allocations, most)
	}
}
