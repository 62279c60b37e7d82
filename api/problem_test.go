package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// TestDoubtIsNotDenied reads the answer for a commit of which nobody knows whether
// it is on the branch, whatever else went wrong: it must not say that nothing was
// written, and must name the commit.
func TestDoubtIsNotDenied(t *testing.T) {
	t.Parallel()
	for name, why := range map[string]error{
		"in time":       errors.New("no answer"),
		"too late":      context.DeadlineExceeded,
		"caller gone":   context.Canceled,
		"limit reached": &github.RateLimitError{RetryAfter: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := &github.Error{
				Kind: github.ErrUpstream, Detail: "see whether commit 42a252d is on the branch",
				Err: errors.Join(&github.UnknownOutcomeError{Commit: github.Commit{SHA: "42a252d"}}, why),
			}
			server := newServer(t, quiet, func(update.Request) update.Result { return update.Result{Err: err} })
			answer := post(server, `{"image": "octo-org/app", "version": "1"}`)
			var problem api.Problem
			if err := json.Unmarshal(answer.Body.Bytes(), &problem); err != nil {
				t.Fatal(err)
			}
			if answer.Code != http.StatusBadGateway || problem.Code != api.ProblemCodeUpstreamError {
				t.Errorf("status %d %s", answer.Code, problem.Code)
			}
			if strings.Contains(problem.Detail, "nothing was written") || !strings.Contains(problem.Detail, "42a252d") {
				t.Errorf("detail: %s", problem.Detail)
			}
		})
	}
}
