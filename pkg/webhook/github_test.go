package webhook_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

func TestGitHubHintsAtPullRequests(t *testing.T) {
	t.Parallel()
	const repository, branch = "octo-org/infra", "versions/web-0123456789"
	for _, tt := range []struct {
		event, file string
		want        *webhook.Hint
	}{
		{"pull_request", "pull-request", &webhook.Hint{Repository: repository, Branch: branch}},
		{"check_suite", "check-suite", &webhook.Hint{Repository: repository, Branch: branch}},
		{"push", "push", &webhook.Hint{Repository: repository, Branch: "main", Pushed: true}},
		{"issues", "push", nil},
		{"pull_request", "push", nil},
	} {
		body, err := os.ReadFile("testdata/github/" + tt.file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		r := authentic(webhook.KindGitHub, body)
		r.Header.Set("X-GitHub-Event", tt.event)
		got, err := send(t.Context(), newSource(t, options(webhook.KindGitHub)), r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, got.Hint); diff != "" || got.Pushes != nil || got.Ignored == "" {
			t.Errorf("%s with %s (-want +got)\n%s\n%+v", tt.event, tt.file, diff, got)
		}
	}
}
