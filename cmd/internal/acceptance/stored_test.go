package acceptance_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/racetime"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

func TestUpdateThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	w := start(t)
	r := w.post(mission, "Prefer", "respond-async")
	if r.status != http.StatusAccepted || r.update.Status != api.StatusQueued || r.header.Get("Preference-Applied") != "respond-async" ||
		r.header.Get("Location") != "/v1/updates/"+r.update.Id || len(r.update.Targets) != 1 {
		t.Fatalf("%d %v %s", r.status, r.header, r.body)
	}
	record := w.ended(r.update.Id)
	if record.Status != api.StatusCommitted || *record.Image != node || *record.Version != "05-06-42a252" || len(record.Targets[0].Files) != 2 {
		t.Errorf("record: %+v", record)
	}
	if sha := record.Targets[0].Commit.Sha; sha != w.head() {
		t.Errorf("commit %s, the head is %s", sha, w.head())
	}
	absent := w.ended(w.post(setTo("ghcr.io/octo-org/nobody", "1"), "Prefer", "respond-async").update.Id)
	if absent.Status != api.StatusFailed || absent.Targets[0].Problem.Code != api.ProblemCodeImageNotReferenced {
		t.Errorf("an image that nobody names: %+v", absent)
	}
}

func TestPrefer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prefer []string
		status int
		word   string
	}{
		"wait":            {[]string{"wait=20"}, 201, "wait=20"},
		"wait and async":  {[]string{"respond-async, wait=20"}, 201, "wait=20"},
		"two lines":       {[]string{"respond-async", "wait=20"}, 201, "wait=20"},
		"odd letters":     {[]string{`Wait = "20"; x=y, return=minimal`}, 201, "wait=20"},
		"no wait":         {[]string{"wait=0"}, 202, "wait=0"},
		"the first":       {[]string{"wait=20, wait=0"}, 201, "wait=20"},
		"others":          {[]string{"handling=lenient"}, 201, ""},
		"not understood":  {[]string{"wait=soon"}, 201, ""},
		"longer than may": {[]string{"wait=999999999"}, 201, "wait=60"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			request, err := http.NewRequest(http.MethodPost, w.url+"/v1/updates", strings.NewReader(mission))
			w.must(err)
			request.Header["Prefer"] = tt.prefer
			request.Header.Set("Content-Type", "application/json")
			response, err := http.DefaultClient.Do(request)
			w.must(err)
			_ = response.Body.Close()
			if got := response.Header.Get("Preference-Applied"); response.StatusCode != tt.status || got != tt.word {
				t.Errorf("%d %q, want %d %q", response.StatusCode, got, tt.status, tt.word)
			}
		})
	}
	w := start(t)
	if r := w.post(`{"image": "`+node+`", "version": "1", "dry_run": true}`, "Prefer", "respond-async", "Idempotency-Key", "k"); r.status != 200 || r.update.Status != api.StatusPlanned {
		t.Errorf("a dry run: %d %s", r.status, r.body)
	}
}

func TestWaitThatIsTooShort(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.hub.Configure(func(s *sandbox.Settings) { s.Latency = sandbox.Duration(2 * time.Second) })
	r := w.post(mission, "Prefer", "wait=1")
	if r.status != http.StatusAccepted || r.update.Status != api.StatusQueued {
		t.Fatalf("%d %s", r.status, r.body)
	}
	w.hub.Configure(func(s *sandbox.Settings) { s.Latency = 0 })
	if record := w.ended(r.update.Id); record.Status != api.StatusCommitted {
		t.Errorf("record: %+v", record)
	}
}

// A failed update answers who waits for it as it would have without the store.
func TestWaitForAProblem(t *testing.T) {
	t.Parallel()
	w := start(t)
	r := w.post(setTo("ghcr.io/octo-org/nobody", "1"), "Prefer", "wait=20")
	wantProblem(t, r, http.StatusNotFound, api.ProblemCodeImageNotReferenced)
	w.repo.Protect("main", sandbox.Protection{Ruleset: true})
	wantProblem(t, w.post(mission, "Prefer", "wait=20"), http.StatusConflict, api.ProblemCodeBranchProtected)
}

// Requests for parts of the files are stored, and kept in the history, as all are.
func TestUpdateOfSomePathsIsStored(t *testing.T) {
	t.Parallel()
	w := start(t)
	body := func(version string) string {
		return `{"image": "` + node + `", "version": "` + version + `", "paths": ["apps/p*", "charts/**"]}`
	}
	stored := w.ended(w.post(body("v1"), "Prefer", "respond-async").update.Id)
	if stored.Status != api.StatusCommitted || len(stored.Targets[0].Files) != 1 {
		t.Errorf("stored: %+v", stored)
	}
	r := w.post(body("v2"))
	wantCommitted(t, r)
	if record := w.get("/v1/updates/" + r.update.Id).record; record.Status != api.StatusCommitted {
		t.Errorf("recorded: %+v", record)
	}
	wantProblem(t, w.post(`{"image": "`+node+`", "version": "v3", "paths": ["a\u0000b"]}`), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken))
	auth := []string{"Authorization", "Bearer " + callerToken}
	var ids []string
	for _, body := range []string{setTo(node, "v1"), setTo(worker, "v1"), setTo(node, "v2"), setTo("ghcr.io/octo-org/nobody", "v1"), setTo(node, "v2")} {
		r := w.post(body, auth...)
		if r.update.Id != "" {
			ids = append(ids, r.update.Id)
		}
	}
	w.post(`{"image": "`+node+`", "version": "dry", "dry_run": true}`, auth...)
	w.post(`{"image": "nginx:1", "version": "refused"}`, auth...)

	list := func(query string) (lines []string, next string) {
		r := w.get("/v1/updates"+query, auth...)
		if r.status != http.StatusOK {
			t.Fatalf("%s: %d %s", query, r.status, r.body)
		}
		for _, u := range r.page.Updates {
			lines = append(lines, fmt.Sprint((*u.Image)[strings.LastIndex(*u.Image, "/")+1:], " ", *u.Version, " ", u.Status))
		}
		if r.page.NextCursor != nil {
			next = *r.page.NextCursor
		}
		return lines, next
	}
	all := []string{"refty-node v2 unchanged", "nobody v1 failed", "refty-node v2 committed", "data-sync-worker v1 committed", "refty-node v1 committed"}
	files := func(query string) (n int) {
		for _, u := range w.get("/v1/updates"+query, auth...).page.Updates {
			for _, target := range u.Targets {
				n += len(target.Files)
			}
		}
		return n
	}
	if without, with := files(""), files("?files=true"); without != 0 || with == 0 {
		t.Errorf("%d files in the list, and %d with ?files=true; want none and some", without, with)
	}
	tests := map[string][]string{
		"":                                     all,
		"?status=committed":                    {all[2], all[3], all[4]},
		"?status=failed":                       {all[1]},
		"?image=" + worker:                     {all[3]},
		"?image=" + node + "&status=committed": {all[2], all[4]},
		"?image=nginx":                         nil,
	}
	for query, want := range tests {
		if got, _ := list(query); !cmp.Equal(want, got) {
			t.Errorf("%s (-want +got):\n%s", query, cmp.Diff(want, got))
		}
	}
	var paged []string
	for query := "?limit=2"; query != ""; {
		lines, next := list(query)
		paged = append(paged, lines...)
		query = ""
		if next != "" {
			query = "?limit=2&cursor=" + next
		}
	}
	if diff := cmp.Diff(all, paged); diff != "" {
		t.Errorf("page by page (-want +got):\n%s", diff)
	}

	record := w.get("/v1/updates/"+ids[0], auth...).record
	if record.Caller == nil || *record.Caller != "ci" || record.Targets[0].Commit == nil || record.FinishedAt == nil || record.Attempts != 1 {
		t.Errorf("record: %+v", record)
	}
	for _, query := range []string{"?limit=0", "?limit=101", "?limit=x", "?status=planned", "?status=", "?image=nginx:1", "?cursor=x", "?sort=image"} {
		wantProblem(t, w.get("/v1/updates"+query, auth...), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
	}
	for _, path := range []string{"/v1/updates/none", "/v1/updates/01a2057d-9fbd-7633-89b7-393750a75410"} {
		wantProblem(t, w.get(path, auth...), http.StatusNotFound, api.ProblemCodeNotFound)
	}
	wantProblem(t, w.get("/v1/updates"), http.StatusUnauthorized, api.ProblemCodeUnauthenticated)
}

func (w *world) retry(id string) reply {
	w.t.Helper()
	r, err := w.try(http.MethodPost, "/v1/updates/"+id+"/retry", nil)
	w.must(err)
	return r
}

func TestRetry(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.repo.Protect("main", sandbox.Protection{Ruleset: true})
	wantProblem(t, w.post(mission), http.StatusConflict, api.ProblemCodeBranchProtected)
	failed := w.get("/v1/updates?status=failed").page.Updates
	if len(failed) != 1 {
		t.Fatalf("failed: %+v", failed)
	}
	id := failed[0].Id
	w.repo.Unprotect("main")
	r := w.retry(id)
	if r.status != http.StatusAccepted || r.update.Status != api.StatusQueued || r.header.Get("Location") != "/v1/updates/"+id {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if record := w.ended(id); record.Status != api.StatusCommitted {
		t.Errorf("record: %+v", record)
	}
	wantProblem(t, w.retry(id), http.StatusConflict, api.ProblemCodeNotFailed)
	wantProblem(t, w.retry("none"), http.StatusNotFound, api.ProblemCodeNotFound)
}

// What was overtaken since it failed is not put back.
func TestRetryOfWhatIsOld(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.repo.Protect("main", sandbox.Protection{Ruleset: true})
	wantProblem(t, w.post(setTo(node, "old")), http.StatusConflict, api.ProblemCodeBranchProtected)
	w.repo.Unprotect("main")
	wantCommitted(t, w.post(setTo(node, "new")))
	id := w.get("/v1/updates?status=failed").page.Updates[0].Id
	if r := w.retry(id); r.status != http.StatusOK || r.update.Status != api.StatusSuperseded {
		t.Errorf("retry: %d %s", r.status, r.body)
	}
	if record := w.ended(id); record.Status != api.StatusSuperseded || record.LastError != nil {
		t.Errorf("record: %+v", record)
	}
	if metrics := w.get("/metrics").body; !strings.Contains(metrics, "versions_service_queue_failed 0\n") {
		t.Error("what its caller was told counts as dead")
	}
	if content := w.file("apps/parser.yaml"); !strings.Contains(content, node+":new") {
		t.Errorf("parser.yaml:\n%s", content)
	}
}

// Stored updates of one branch share commits.
func TestStoredUpdatesShareCommits(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("many/%d.yaml", i)] = deployment(fmt.Sprintf("ghcr.io/octo-org/app%d:1", i))
	}
	w := start(t, withFiles(files))
	w.hub.Configure(func(s *sandbox.Settings) { s.Latency = sandbox.Duration(100 * time.Millisecond) })
	before := len(w.log())
	ids := make([]string, 30)
	var senders sync.WaitGroup
	for i := range ids {
		senders.Go(func() {
			if r, err := w.tryPost(setTo(fmt.Sprintf("ghcr.io/octo-org/app%d", i), "2"), "Prefer", "respond-async"); err == nil {
				ids[i] = r.update.Id
			}
		})
	}
	senders.Wait()
	for _, id := range ids {
		if record := w.ended(id); record.Status != api.StatusCommitted {
			t.Errorf("record: %+v", record)
		}
	}
	if n := len(w.log()) - before; n > 10 {
		t.Errorf("%d commits for 30 updates that came at once", n)
	}
}

func TestStoredUpdatesOfSeveralTargets(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(twoTargets), withRepository(otherRepo, map[string]string{"a.yaml": deployment(node + ":old")}))
	w.others[otherRepo].Protect("main", sandbox.Protection{Ruleset: true})
	wantTargets(t, w.post(setTo(node, "v1"), "Prefer", "wait=20"), http.StatusMultiStatus,
		"refty-yapi/refty-infra-test committed", "production octo-org/infra failed branch_protected")
	wantTargets(t, w.post(setTo(worker, "v1"), "Prefer", "wait=20"), http.StatusCreated, "refty-yapi/refty-infra-test committed")

	w.others[otherRepo].Unprotect("main")
	id := w.get("/v1/updates?status=failed").page.Updates[0].Id
	w.retry(id)
	if record := w.ended(id); record.Status != api.StatusCommitted || len(w.log()) != 3 {
		t.Errorf("record: %+v, %d commits on the target that had not failed", record, len(w.log()))
	}
}

// What waits when the program stops is done when it runs again.
func TestStopAndStart(t *testing.T) {
	t.Parallel()
	w := start(t, withData())
	w.hub.Inject(sandbox.BadGateway())
	id := w.post(mission, "Prefer", "respond-async").update.Id
	for deadline := time.Now().Add(patience); w.get("/v1/updates/"+id).record.Attempts == 0; <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			t.Fatal("it was never tried")
		}
	}
	waiting := w.get("/v1/updates/" + id).record
	if waiting.Status != api.StatusQueued || waiting.NextAttemptAt == nil || waiting.LastError == nil || waiting.Targets[0].Problem == nil ||
		waiting.Targets[0].Problem.Code != api.ProblemCodeUpstreamError {
		t.Errorf("while it waits: %+v", waiting)
	}
	w.must(w.stop())
	w.hub.ClearFaults()
	w.run()
	if record := w.ended(id); record.Status != api.StatusCommitted || record.Attempts < 2 {
		t.Errorf("record: %+v", record)
	}
}

// The store is not needed for an update that its caller waits for, and is for
// everything else. /readyz tells.
func TestStoreThatIsAway(t *testing.T) {
	t.Parallel()
	w := start(t, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withData())
	w.ended(w.post(setTo(worker, "v1"), "Prefer", "respond-async").update.Id) // it has started
	w.breakStore()
	begun := time.Now()
	wantCommitted(t, w.post(mission))
	if took := time.Since(begun); took > racetime.Slower*8*time.Second {
		t.Errorf("the store held the answer back for %s", took)
	}
	var all sync.WaitGroup
	refused := func(r reply, err error) {
		if err != nil {
			t.Error(err)
		}
		wantProblem(t, r, http.StatusServiceUnavailable, api.ProblemCodeUnavailable)
		if r.header.Get("Retry-After") == "" || !strings.Contains(r.problem.Detail, "nothing was written") {
			t.Errorf("%v %s", r.header, r.body)
		}
	}
	for _, headers := range [][]string{{"Idempotency-Key", "k"}, {"Prefer", "respond-async"}, {"Prefer", "wait=5"}} {
		all.Go(func() { refused(w.tryPost(setTo(node, "v2"), headers...)) })
	}
	body := pushed("v3")
	all.Go(func() {
		refused(w.try(http.MethodPost, "/v1/webhooks/ghcr", strings.NewReader(body), signed(body, "d")...))
	})
	all.Wait()
	if n := len(w.log()); n != 3 {
		t.Errorf("%d commits", n-1)
	}
	if !strings.Contains(w.get("/metrics").body, "versions_service_updates_unrecorded_total 1\n") {
		t.Error("the update that is not in the history is not counted")
	}
}

// breakStore lets every further write of the store fail: somebody else holds the
// database's lock, which SQLite waits for and then gives up.
func (w *world) breakStore() {
	w.t.Helper()
	w.changeStore("BEGIN IMMEDIATE")
}

// changeStore runs a statement on a connection to SQLite's file that stays open.
func (w *world) changeStore(statement string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.env["DATA_DIR"], "versions-service.db")+"?_pragma=busy_timeout(10000)")
	w.must(err)
	conn, err := db.Conn(w.t.Context())
	w.must(err)
	w.t.Cleanup(func() { w.must(errors.Join(conn.Close(), db.Close())) })
	_, err = conn.ExecContext(w.t.Context(), statement)
	w.must(err)
}
