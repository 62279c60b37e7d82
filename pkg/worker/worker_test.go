package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

var (
	infra = update.Place{ID: "production", Key: "octo-org/infra@main", Name: "production", Repo: github.Repo{Owner: "octo-org", Name: "infra"}, Branch: "main"}
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

// updates is a use case that records what it is asked to apply.
type updates struct {
	none   error // of Choose
	result func(update.Request) update.Result
	calls  []string // a target and the versions of its requests

	choices []update.Choice // nil: one
	seen    []update.Request
}

func (u *updates) Choose(r update.Request) ([]update.Choice, error) {
	if u.none != nil {
		return nil, u.none
	}
	if u.choices != nil {
		return u.choices, nil
	}
	return []update.Choice{{Place: infra, Images: r.Images}}, nil
}

func (u *updates) Apply(_ context.Context, target string, requests []update.Request) []update.Result {
	var results []update.Result
	call := target
	for _, r := range requests {
		call += " " + r.Images[0].Version.String()
		results = append(results, u.result(r))
	}
	u.calls = append(u.calls, call)
	u.seen = append(u.seen, requests...)
	return results
}

func ended(status update.Status) func(update.Request) update.Result {
	return func(update.Request) update.Result { return update.Result{Place: infra, Status: status} }
}

func failed(err error) func(update.Request) update.Result {
	return func(update.Request) update.Result { return update.Result{Place: infra, Err: err} }
}

func newWorker(u *updates) (*worker.Worker, *strings.Builder) {
	log := &strings.Builder{}
	return worker.New(u, slog.New(slog.NewJSONHandler(log, nil))), log
}

func request(t testing.TB, name, version string) update.Request {
	t.Helper()
	repository, err := image.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := image.ParseTag(version)
	if err != nil {
		t.Fatal(err)
	}
	return update.Request{ID: "one", Images: []update.Image{{Repository: repository, Version: tag}}, Caller: "ci", At: noon}
}

// item is a stored update of the worker's, as the queue hands it back.
func item(t testing.TB, w *worker.Worker, target, version string) queue.Item {
	t.Helper()
	u, err := w.FromRequest(request(t, "nginx", version))
	if err != nil {
		t.Fatal(err)
	}
	task := u.Tasks[0]
	task.Target = target
	u.Tasks = nil
	return queue.Item{Update: u, Task: task}
}

func TestFailuresAreTriedAgainOrNot(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		status queue.Status
		after  time.Duration
	}{
		{"image not named", &update.NotReferencedError{Images: []string{"nginx"}}, queue.Absent, 0},
		{"another branch", &update.NoTargetError{Branch: "stage"}, queue.Absent, 0},
		{"target that is gone", &update.NoTargetError{Target: "gone"}, queue.Failed, 0},
		{"lost races", &update.MovedError{Attempts: 16}, queue.Queued, 0},
		{"limit", &github.RateLimitError{RetryAfter: time.Hour}, queue.Queued, time.Hour},
		{"limit without a time", &github.RateLimitError{}, queue.Queued, time.Minute},
		{"credential", &github.Error{Kind: github.ErrUnauthorized}, queue.Queued, 0},
		{"GitHub failed", &github.Error{Kind: github.ErrUpstream, Detail: "GitHub\nis away"}, queue.Queued, 0},
		{"late", context.DeadlineExceeded, queue.Queued, 0},
		{"handed back", context.Canceled, queue.Queued, 0},
		{"a fault of ours", errors.New("index out of range"), queue.Queued, 0},
		{"protected", &github.Error{Kind: github.ErrBranchProtected}, queue.Failed, 0},
		{"permission", &github.Error{Kind: github.ErrForbidden}, queue.Failed, 0},
		{"no branch", &github.Error{Kind: github.ErrBranchNotFound}, queue.Failed, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, log := newWorker(&updates{result: failed(tt.err)})
			o := w.Apply(t.Context(), queue.Batch{Items: []queue.Item{item(t, w, "production", "2")}})[0]
			if o.Status != tt.status || o.After != tt.after || o.Error == "" || strings.Contains(o.Error, "\n") {
				t.Errorf("%+v", o)
			}
			stored, err := update.DecodeResult(o.Result)
			if err != nil || stored.Err == nil || stored.Name != "production" {
				t.Errorf("stored %+v, %v", stored, err)
			}
			if strings.Contains(o.Error+string(o.Result), "index out of range") || !strings.Contains(log.String(), tt.err.Error()[:3]) {
				t.Errorf("only the log may show the inside: %s; %s", o.Error, log)
			}
		})
	}
}

func TestEndsAreTold(t *testing.T) {
	t.Parallel()
	for from, want := range map[update.Status]queue.Status{
		update.Committed: queue.Committed, update.Unchanged: queue.Unchanged, update.Superseded: queue.Superseded,
	} {
		w, log := newWorker(&updates{result: ended(from)})
		o := w.Apply(t.Context(), queue.Batch{Items: []queue.Item{item(t, w, "production", "2")}})[0]
		if o.Status != want || o.Error != "" || !strings.Contains(log.String(), `"outcome":"`+string(want)+`"`) {
			t.Errorf("%s: %+v\n%s", from, o, log)
		}
	}
}

// TestBatchIsAppliedByTarget has a batch with two targets, and a row that cannot be
// read between them.
func TestBatchIsAppliedByTarget(t *testing.T) {
	t.Parallel()
	u := &updates{result: ended(update.Committed)}
	w, _ := newWorker(u)
	broken := item(t, w, "staging", "2")
	broken.Update.Request = []byte(`{"v":1,"image":"nginx"}`)
	items := []queue.Item{item(t, w, "production", "1"), item(t, w, "staging", "2"), broken, item(t, w, "production", "3")}
	for i := range items {
		items[i].Update.ID = strconv.Itoa(i)
	}
	outcomes := w.Apply(t.Context(), queue.Batch{Items: items})
	if diff := cmp.Diff([]string{"production 1 3", "staging 2"}, u.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for i, want := range []queue.Status{queue.Committed, queue.Committed, queue.Failed, queue.Committed} {
		if outcomes[i].Status != want {
			t.Errorf("item %d: %+v, want %s", i, outcomes[i], want)
		}
	}
	if !strings.Contains(outcomes[2].Error, "version: ") {
		t.Errorf("error %q names no field", outcomes[2].Error)
	}
}

// TestRowOfBefore applies a request that was stored before the stored form had a
// version, with what the queue knows beside it.
func TestRowOfBefore(t *testing.T) {
	t.Parallel()
	u := &updates{result: ended(update.Committed)}
	w, _ := newWorker(u)
	before := item(t, w, "production", "2")
	before.Update.Request = []byte(`{"image":"nginx","version":"2","paths":["apps/**"],"dry_run":false}`)
	before.Update.Webhook, before.Place, before.Sent = "ghcr", noon, "42a252d"
	if o := w.Apply(t.Context(), queue.Batch{Items: []queue.Item{before}})[0]; o.Status != queue.Committed {
		t.Errorf("%+v", o)
	}
	r := u.seen[0]
	if r.ID != "one" || r.Caller != "webhook/ghcr" || !r.At.Equal(noon) || r.Sent != "42a252d" || len(r.Paths) != 1 || r.Images[0].Repository.Name() != "docker.io/library/nginx" {
		t.Errorf("%+v", r)
	}
}

// TestPlaceOfAGoneTarget keeps where a target was that is configured no more.
func TestPlaceOfAGoneTarget(t *testing.T) {
	t.Parallel()
	w, _ := newWorker(&updates{result: func(update.Request) update.Result {
		return update.Result{Place: update.Place{ID: "production"}, Err: &update.NoTargetError{Target: "production"}}
	}})
	o := w.Apply(t.Context(), queue.Batch{Items: []queue.Item{item(t, w, "production", "2")}})[0]
	stored, err := update.DecodeResult(o.Result)
	if err != nil || o.Status != queue.Failed || stored.Repo != infra.Repo || stored.Branch != "main" {
		t.Errorf("%+v: %+v, %v", o, stored, err)
	}
}

func TestFromRequest(t *testing.T) {
	t.Parallel()
	w, _ := newWorker(&updates{})
	u, err := w.FromRequest(request(t, "nginx", "2"))
	if err != nil {
		t.Fatal(err)
	}
	if u.ID != "one" || u.Image != "docker.io/library/nginx" || u.Version != "2" || u.Caller != "ci" || u.AbsentAs != queue.Failed ||
		len(u.Tasks) != 1 || u.Tasks[0].Target != infra.ID || u.Tasks[0].Branch != infra.Key || u.Tasks[0].Status != "" {
		t.Errorf("%+v", u)
	}
	none := &update.NotTakenError{Images: []string{"nginx"}}
	w, _ = newWorker(&updates{none: none})
	if _, err := w.FromRequest(request(t, "nginx", "2")); !errors.Is(err, none) {
		t.Errorf("error %v", err)
	}
}

func TestFromPush(t *testing.T) {
	t.Parallel()
	w, _ := newWorker(&updates{})
	nginx := request(t, "nginx", "2").Images[0]
	push := webhook.Push{Image: nginx.Repository, Tag: nginx.Version, ID: "delivery", Time: noon}
	u, err := w.FromPush("two", worker.Source{Name: "ghcr"}, push)
	if err != nil || u.ID != "two" || u.Webhook != "ghcr" || u.DeliveryID != "delivery" || !u.PushedAt.Equal(noon) ||
		u.AbsentAs != queue.Unchanged || len(u.Tasks) != 1 || worker.UnusableReason(u) != "" {
		t.Errorf("%+v, %v", u, err)
	}

	push = webhook.Push{Tag: nginx.Version, ID: "delivery", Name: "team/app", Unusable: "no registry host\nin the payload"}
	u, err = w.FromPush("three", worker.Source{Name: "zot"}, push)
	if err != nil || u.Image != "team/app" || u.Status != queue.Failed || u.DeliveryID != "" || len(u.Tasks) != 0 ||
		worker.UnusableReason(u) != "no registry host in the payload" {
		t.Errorf("%+v, %v", u, err)
	}
	u.Request = []byte(`{"unusable":"as it was stored before"}`)
	if why := worker.UnusableReason(u); why != "as it was stored before" {
		t.Errorf("reason %q", why)
	}
}

// TestEnded has the history of a request that its caller was answered: what failed
// is not queued.
func TestEnded(t *testing.T) {
	t.Parallel()
	r := request(t, "nginx", "2")
	u := worker.Ended(r, []update.Result{
		{Place: infra, Status: update.Committed, Images: r.Images},
		{Place: update.Place{ID: "staging", Key: "octo-org/infra@stage"}, Images: r.Images, Err: context.DeadlineExceeded},
	})
	var got []queue.Status
	for _, task := range u.Tasks {
		got = append(got, task.Status)
	}
	if diff := cmp.Diff([]queue.Status{queue.Committed, queue.Failed}, got); diff != "" || !u.PushedAt.Equal(noon) || u.AbsentAs != queue.Failed {
		t.Errorf("(-want +got):\n%s\n%+v", diff, u)
	}
}

// set is a request for nginx and web, and the items of its tasks for two targets of a
// branch, of which one takes nginx alone.
func set(t testing.TB, w *worker.Worker, u *updates) (queue.Update, []queue.Item) {
	t.Helper()
	r := request(t, "nginx", "2")
	r.Images = append(r.Images, request(t, "octo-org/web", "3").Images...)
	r.Listed = true
	staging := infra
	staging.ID, staging.Name = "staging", "staging"
	u.choices = []update.Choice{{Place: infra, Images: r.Images}, {Place: staging, Images: r.Images[:1]}}
	stored, err := w.FromRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	var items []queue.Item
	for _, task := range stored.Tasks {
		alone := stored
		alone.Tasks = nil
		items = append(items, queue.Item{Update: alone, Task: task, Place: noon})
	}
	return stored, items
}

// A set has a task for each target and image, and comes back as one request for each
// target, which knows of the images elsewhere.
func TestSet(t *testing.T) {
	t.Parallel()
	u := &updates{}
	w, log := newWorker(u)
	_, items := set(t, w, u)
	u.result = func(r update.Request) update.Result {
		result := update.Result{Place: infra, Status: update.Committed, Commit: &github.Commit{SHA: "0a"}, Images: r.Images}
		if len(r.Images) == 2 {
			result.Superseded = r.Images[:1]
		}
		return result
	}
	slices.Reverse(items)
	outcomes := w.Apply(t.Context(), queue.Batch{Items: items})
	var got []string
	for i, o := range outcomes {
		r, err := update.DecodeResult(o.Result)
		got = append(got, fmt.Sprintf("%s/%s=%s commit %t %v", items[i].Task.Target, items[i].Task.Image, o.Status, r.Commit != nil, err))
	}
	want := []string{
		"staging/docker.io/library/nginx=committed commit true <nil>",
		"production/docker.io/octo-org/web=committed commit true <nil>",
		"production/docker.io/library/nginx=superseded commit false <nil>",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(u.seen) != 2 || len(u.seen[0].All) != 2 || len(u.seen[0].Images) != 1 || len(u.seen[1].Images) != 2 || !u.seen[1].Listed {
		t.Errorf("requests: %+v", u.seen)
	}
	if n := strings.Count(log.String(), "stored update"); n != 2 {
		t.Errorf("%d log records, want one for each target: %s", n, log)
	}

	u.result = failed(&github.Error{Kind: github.ErrUpstream})
	for i, o := range w.Apply(t.Context(), queue.Batch{Items: items}) {
		if r, err := update.DecodeResult(o.Result); o.Status != queue.Queued || err != nil || r.Err == nil {
			t.Errorf("item %d: %+v", i, o)
		}
	}
	items[0].Task.Image = "docker.io/octo-org/other"
	if o := w.Apply(t.Context(), queue.Batch{Items: items[:1]})[0]; o.Status != queue.Failed {
		t.Errorf("an image that the request does not have: %+v", o)
	}
}
