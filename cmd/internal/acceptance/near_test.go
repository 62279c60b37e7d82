package acceptance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

func TestNearMisses(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, withFiles(map[string]string{
		"apps/web.yaml":    deployment("quay.io/octo-org/web:1"),
		"apps/web-2.yaml":  deployment("quay.io/octo-org/team/web:1"),
		"apps/web-3.yaml":  deployment("registry.example.com:5000/web:1"),
		"apps/web-4.yaml":  deployment("web:1"),
		"apps/values.yaml": "image:\n  registry: ghcr.io\n  repository: octo-org/payments\n  tag: v1\n",
		"apps/README.yaml": "# ghcr.io/octo-org/commented:1\n",
	}))
	for range 2 { // cold and warm
		for image, want := range map[string]string{
			"refty-yapi/refty-node/refty-node":         "did you mean `ghcr.io/refty-yapi/refty-node/refty-node`?",
			"ghcr.io/refty-yapi/refty-node/refty-nod":  "did you mean `ghcr.io/refty-yapi/refty-node/refty-node`?",
			"ghcr.io/refty-yapi/refty-node/refty_node": "did you mean `ghcr.io/refty-yapi/refty-node/refty-node`?",
			"ghcr.io/octo-org/payment":                 "did you mean `ghcr.io/octo-org/payments`?",
			"octo-org/payments":                        "did you mean `ghcr.io/octo-org/payments`?",
			"quay.io/octo-org/teams/web":               "did you mean `quay.io/octo-org/team/web`, `quay.io/octo-org/web`, `web`?",
			"ghcr.io/octo-org/commented":               "check its spelling, registry included",
			"ghcr.io/octo-org/nothing-like-it":         "check its spelling, registry included",
		} {
			r := w.post(setTo(image, "2"))
			wantProblem(t, r, http.StatusNotFound, api.ProblemCodeImageNotReferenced)
			if !strings.HasSuffix(r.problem.Detail, want) {
				t.Errorf("%s: %s\nwant: %s", image, r.problem.Detail, want)
			}
		}
	}
	mark := w.mark()
	w.post(setTo("ghcr.io/refty-yapi/refty-node/refty-nod", "2"))
	if got := w.spentSince(mark); len(got) > 1 {
		t.Errorf("a suggestion costs requests: %q", got)
	}
	if record := w.ended(w.post(setTo("octo-org/payments", "2"), "Prefer", "respond-async").update.Id); !strings.Contains(record.Targets[0].Problem.Detail, "ghcr.io/octo-org/payments") {
		t.Errorf("the history: %+v", record.Targets[0].Problem)
	}
}
