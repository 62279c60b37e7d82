package policy_test

import (
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cost"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
)

// FuzzCost repeats a fragment of a claim's text and of a pattern: both cost what their
// lengths cost, and the longest pattern that is taken is matched at once.
func FuzzCost(f *testing.F) {
	f.Add("", "a/", "a", "ghcr.io/octo-org/a")
	f.Add("", "{a,a}", "b", "ghcr.io/octo-org/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Add("", "**/", "b", "ghcr.io/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a")
	f.Add("", "*a", "b", "ghcr.io/octo-org/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	f.Add("{", "a,", "b}", "ghcr.io/octo-org/a")
	f.Add("", "a-", "", "ghcr.io/octo-org/a-a-a-a-a-a")
	f.Add("", "${c}", "", "ghcr.io/octo-org/a")
	f.Add("", "A", "", "ghcr.io/octo-org/a")
	claimed, err := policy.ParsePattern("ghcr.io/${c}/**")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, head, fragment, tail, name string) {
		repository, err := image.ParseRepository(name)
		if err != nil || len(head)+len(tail) > 200 || len(fragment) > 200 || fragment == "" {
			return
		}
		expand := func(times int) func() {
			claims := map[string]string{"c": head + strings.Repeat(fragment, times) + tail}
			return func() { claimed.Matches(claims, repository) }
		}
		cost.Linear(t, "a claim of "+fragment, expand(1000), expand(4000))
		parse := func(times int) func() {
			text := "ghcr.io/" + head + strings.Repeat(fragment, times) + tail
			return func() { _, _ = policy.ParsePattern(text) }
		}
		cost.Linear(t, "a pattern of "+fragment, parse(1000), parse(4000))
		for room := 500 - len(head) - len(tail); room > 0; room /= 2 {
			pattern, err := policy.ParsePattern("ghcr.io/" + head + strings.Repeat(fragment, room/len(fragment)) + tail)
			if err != nil {
				continue
			}
			matched := func() { pattern.Matches(map[string]string{"c": "a"}, repository) }
			cost.Linear(t, "the pattern "+pattern.String(), func() {}, matched)
			return
		}
	})
}
