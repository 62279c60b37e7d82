package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
)

func TestReview(t *testing.T) {
	t.Parallel()
	callers := []policy.Known{
		{Name: "ours", Federated: true, ByNumber: true}, {Name: "named-only", Federated: true}, {Name: "bot"}, {Name: "idle"},
	}
	good := policy.Rule{Name: "good", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/${repository}", "ghcr.io/${repository}/**")}
	tests := map[string]struct {
		rule  policy.Rule
		wrong bool
		want  string
	}{
		"good":                      {good, false, ""},
		"a claim of one's choice":   {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/octo-org/${ref}")}, true, "chooses the claim ref"},
		"an actor":                  {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/${actor}/web")}, true, "chooses the claim actor"},
		"sub":                       {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/${sub}")}, true, "matches nothing"},
		"a wildcard before a claim": {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/**/${repository}")}, false, "wildcard before the claim"},
		"every image of an owner":   {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/octo-org/**")}, false, "${repository} would part them"},
		"claims for a named caller": {policy.Rule{Name: "r", Callers: []string{"bot"}, Images: patterns(t, "ghcr.io/${repository}")}, true, "has no claims"},
		"a caller pinned by a name": {policy.Rule{Name: "r", Callers: []string{"named-only"}, Images: patterns(t, "ghcr.io/${repository}")}, false, "pinned by names alone"},
		"a rule that adds nothing":  {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/${repository}"), Targets: []string{"staging"}}, false, "the rule good allows all"},
		"a rule within a wide one":  {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/${repository}/**")}, false, "the rule good allows all"},
		"a claim beside everything": {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/octo-org/x", "ghcr.io/${repository}", "ghcr.io/**")}, true, "the claim bounds nothing, since ghcr.io/** beside it"},
		"a pattern twice":           {policy.Rule{Name: "r", Callers: []string{"bot"}, Images: patterns(t, "ghcr.io/octo-org/web", "ghcr.io/octo-org/**")}, false, "adds nothing to ghcr.io/octo-org/** beside it"},
		"bounds that are lifted":    {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/${repository}", "ghcr.io/octo-org/x"), RefuseDowngrade: true}, false, "the rule good allows some of the same images without"},
		"a right of its own":        {policy.Rule{Name: "r", Callers: []string{"ours"}, Images: patterns(t, "ghcr.io/${repository}"), OverrideFreeze: true}, false, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := []policy.Rule{test.rule}
			if test.rule.Name != "good" {
				rules = append(rules, good)
			}
			var found []policy.Finding
			for _, f := range policy.Review(rules, callers) {
				if f.Rule == test.rule.Name {
					found = append(found, f)
				}
			}
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("found %+v", found)
			case test.want != "" && !slices.ContainsFunc(found, func(f policy.Finding) bool { return strings.Contains(f.Detail, test.want) && f.Wrong == test.wrong }):
				t.Errorf("found %+v, want %q, wrong %t", found, test.want, test.wrong)
			}
		})
	}
	idle := policy.Review([]policy.Rule{good}, callers)
	if !strings.Contains(idle[len(idle)-1].Detail, "stands in no rule") || idle[len(idle)-1].Caller != "idle" {
		t.Errorf("found %+v", idle)
	}
}

func TestReviewOfCallers(t *testing.T) {
	t.Parallel()
	rules := []policy.Rule{{Name: "r", Callers: []string{"c"}, Images: patterns(t, "ghcr.io/${repository}")}}
	for claim, test := range map[string]struct{ text, want string }{
		"actor":           {"octocat", "names who starts a job"},
		"event_name":      {"pull_request_target", "the pull request of a stranger"},
		"pipeline_source": {"*", "the pull request of a stranger"},
		"ref":             {"refs/heads/main", ""},
	} {
		known := policy.Known{Name: "c", Federated: true, ByNumber: true, Claims: map[string][]string{"repository_owner_id": {"42"}, claim: {test.text}}}
		found := policy.Review(rules, []policy.Known{known})
		if (len(found) > 0) != (test.want != "") || len(found) > 0 && (found[0].Caller != "c" || found[0].Wrong || !strings.Contains(found[0].Detail, test.want)) {
			t.Errorf("%s: %+v", claim, found)
		}
	}
}
