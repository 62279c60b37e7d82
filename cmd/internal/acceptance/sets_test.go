package acceptance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// apps are the images octo-org/app-0 to octo-org/app-(n-1), as a body of images at a
// version, with other fields after it.
func apps(n int, version, more string) string {
	var images []string
	for i := range n {
		images = append(images, fmt.Sprintf(`{"image": "octo-org/app-%d", "version": %q}`, i, version))
	}
	return `{"images": [` + strings.Join(images, ",") + `]` + more + `}`
}

// appFiles name each of the apps in one file, and all of them in another.
func appFiles(n int) map[string]string {
	files := map[string]string{"apps/all.yaml": ""}
	for i := range n {
		files[fmt.Sprintf("apps/%02d.yaml", i)] = deployment(fmt.Sprintf("octo-org/app-%d:1", i))
		files["apps/all.yaml"] += fmt.Sprintf("---\nimage: octo-org/app-%d:1\n", i)
	}
	return files
}

// changesOf counts the changes of each image.
func changesOf(t api.TargetUpdate) map[string]int {
	n := map[string]int{}
	for _, f := range t.Files {
		for _, c := range f.Changes {
			if c.Image == nil {
				n[""]++
			} else {
				n[*c.Image]++
			}
		}
	}
	return n
}

// TestSeveralImages sets several images in one commit, in every way in which a request is
// carried out.
func TestSeveralImages(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, withFiles(appFiles(50)))
	commits := len(w.log())
	for i, n := range []int{1, 2, 50} {
		version := fmt.Sprint(2 + 3*i)
		r := w.post(apps(n, version, `, "dry_run": true`))
		if r.status != http.StatusOK || r.update.Status != api.StatusPlanned || len(changesOf(r.update.Targets[0])) != n ||
			strings.Count(*r.update.Targets[0].Diff, "\n+") < 2*n {
			t.Fatalf("%d, dry run: status %d: %s", n, r.status, r.body)
		}
		r = w.post(apps(n, version, ""), "Idempotency-Key", "key-"+version)
		if r.status != http.StatusCreated || r.update.Image != nil || r.update.Version != nil || r.update.Images == nil || len(*r.update.Images) != n {
			t.Fatalf("%d: status %d: %s", n, r.status, r.body)
		}
		for name, changes := range changesOf(r.update.Targets[0]) {
			if !strings.HasPrefix(name, "octo-org/app-") || changes != 2 {
				t.Errorf("%d: %d changes of %q", n, changes, name)
			}
		}
		if again := w.post(apps(n, version, ""), "Idempotency-Key", "key-"+version); again.body != r.body {
			t.Errorf("%d: the same key: %s", n, again.body)
		}
		if again := w.post(apps(n, version, "")); again.status != http.StatusOK || again.update.Status != api.StatusUnchanged {
			t.Errorf("%d, again: status %d: %s", n, again.status, again.body)
		}
		stored := w.post(apps(n, version+".1", ""), "Prefer", "wait=50")
		if stored.status != http.StatusCreated || len(changesOf(stored.update.Targets[0])) != n || len(*stored.update.Images) != n {
			t.Fatalf("%d, stored: status %d: %s", n, stored.status, stored.body)
		}
		if commits += 2; len(w.log()) != commits {
			t.Errorf("%d: %d commits, want %d", n, len(w.log()), commits)
		}
		record := w.get("/v1/updates/" + stored.update.Id).record
		if record.Images == nil || len(*record.Images) != n || (*record.Images)[n-1].Version != version+".1" || record.Image != nil {
			t.Errorf("%d, record: %+v", n, record)
		}
	}
	if list := w.get("/v1/updates?image=octo-org/app-49&limit=100").page.Updates; len(list) != 3 {
		t.Errorf("updates of the last image: %d, want the three that hold it", len(list))
	}
	if list := w.get("/v1/updates?image=octo-org/app-0&limit=100").page.Updates; len(list) != 9 {
		t.Errorf("updates of the first image: %d, want 9", len(list))
	}
}

// TestSeveralImagesThatAreRefused refuses lists by the pointer to what is wrong, before GitHub
// is asked, and names what nobody names.
func TestSeveralImagesThatAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, withFiles(appFiles(3)))
	head := w.head()
	for name, tt := range map[string]struct{ body, pointers string }{
		"none":              {`{"images": []}`, "/images"},
		"51":                {apps(51, "2", ""), "/images"},
		"both forms":        {apps(1, "2", `, "image": "nginx", "version": "1", "digest": "sha256:`+strings.Repeat("0", 64)+`"`), "/digest /image /version"},
		"neither":           {`{"message": "x"}`, "/image /version"},
		"no image":          {`{"version": "1"}`, "/image"},
		"an image twice":    {`{"images": [{"image": "nginx", "version": "1"}, {"image": "docker.io/library/nginx", "version": "2"}]}`, "/images/1/image"},
		"a tag in one":      {`{"images": [{"image": "nginx", "version": "1"}, {"image": "web:2", "version": "2"}]}`, "/images/1/image"},
		"no version in one": {`{"images": [{"image": "nginx"}]}`, "/images/0/version"},
		"an unknown field":  {`{"images": [{"image": "nginx", "version": "1", "tag": "2"}]}`, "/images/0/tag"},
		"wrong values":      {`{"images": [{"image": "nginx", "version": "1 2", "digest": "sha256:0"}]}`, "/images/0/digest /images/0/version"},
	} {
		r := w.post(tt.body)
		var pointers []string
		if r.problem.Errors != nil {
			for _, e := range *r.problem.Errors {
				pointers = append(pointers, e.Pointer)
			}
		}
		if got := strings.Join(pointers, " "); r.status != http.StatusUnprocessableEntity || got != tt.pointers {
			t.Errorf("%s: status %d, pointers %q: %s", name, r.status, got, r.body)
		}
	}
	if len(w.hub.Requests()) != 0 {
		t.Error("GitHub was asked")
	}
	for _, headers := range [][]string{nil, {"Prefer", "wait=50"}} {
		r := w.post(apps(5, "2", ""), headers...)
		wantProblem(t, r, http.StatusNotFound, api.ProblemCodeImageNotReferenced)
		if !strings.Contains(r.problem.Detail, "names the images octo-org/app-3, octo-org/app-4;") {
			t.Errorf("detail %q", r.problem.Detail)
		}
	}
	if w.head() != head {
		t.Error("something was written")
	}
}

// TestSeveralImagesOfTwoTargets gives each target what it names, and neither anything when an
// image is named by none.
func TestSeveralImagesOfTwoTargets(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(twoTargets), withFiles(map[string]string{"a.yaml": deployment("octo-org/app-0:1")}),
		withRepository(otherRepo, map[string]string{"b.yaml": deployment("octo-org/app-1:1")}))
	for i, headers := range [][]string{nil, {"Prefer", "wait=50"}} {
		r := w.post(apps(3, "0", ""), headers...)
		wantProblem(t, r, http.StatusNotFound, api.ProblemCodeImageNotReferenced)
		if !strings.Contains(r.problem.Detail, "octo-org/app-2") || strings.Contains(r.problem.Detail, "image octo-org/app-0") {
			t.Errorf("detail %q", r.problem.Detail)
		}
		r = w.post(apps(2, fmt.Sprint(i+2), ""), headers...)
		wantTargets(t, r, http.StatusCreated, repoName+" committed", "production octo-org/infra committed")
		for n, target := range r.update.Targets {
			if got := changesOf(target); len(got) != 1 || got[fmt.Sprintf("octo-org/app-%d", n)] != 1 {
				t.Errorf("target %d: %v", n, got)
			}
		}
	}
}

// TestSeveralImagesThatWait has a newer request for one image come while a set waits for
// GitHub: the set goes on without that one, also after a retry.
func TestSeveralImagesThatWait(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, withFiles(appFiles(3)))
	w.hub.Inject(sandbox.Refuse(500, "fault").On("POST", "git/trees"))
	set := w.post(apps(3, "2", ""), "Prefer", "respond-async")
	if set.status != http.StatusAccepted || len(*set.update.Images) != 3 {
		t.Fatalf("status %d: %s", set.status, set.body)
	}
	id := set.update.Id
	for deadline := time.Now().Add(patience); w.get("/v1/updates/"+id).record.Attempts == 0; <-time.After(betweenLooks) {
		if time.Now().After(deadline) {
			t.Fatal("it was never tried")
		}
	}
	w.hub.ClearFaults()
	wantCommitted(t, w.post(setTo("octo-org/app-1", "9")))
	record := w.ended(id)
	if target := record.Targets[0]; record.Status != api.StatusCommitted || target.Superseded == nil ||
		(*target.Superseded)[0] != "docker.io/octo-org/app-1" || len(changesOf(target)) != 2 {
		t.Errorf("record %+v", record)
	}
	for n, version := range []string{"2", "9", "2"} {
		if got := w.file(fmt.Sprintf("apps/%02d.yaml", n)); !strings.Contains(got, fmt.Sprintf("app-%d:%s\n", n, version)) {
			t.Errorf("app-%d: %s", n, got)
		}
	}
}

// TestSeveralImagesByRules needs a rule for each image, and logs each decision.
func TestSeveralImagesByRules(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(appFiles(3)), withConfig(`targets:
  - {name: staging, repository: refty-yapi/refty-infra-test}
callers:
  - {name: ci, tokens: [{value: token-of-a-continuous-build}]}
  - {name: first, tokens: [{value: token-of-the-first-one}]}
rules:
  - {name: two, callers: [ci], images: [octo-org/app-0, octo-org/app-1], targets: [staging]}
  - {name: one, callers: [first], images: [octo-org/app-0], targets: [staging]}
`), withEnv("AUTH", ""))
	ci, first := "Bearer token-of-a-continuous-build", "Bearer token-of-the-first-one"
	r := w.post(apps(3, "2", ""), "Authorization", ci)
	wantProblem(t, r, http.StatusForbidden, api.ProblemCodePolicyDenied)
	if !strings.Contains(r.problem.Detail, "octo-org/app-2") || len(w.hub.Requests()) != 0 {
		t.Errorf("%s after %d requests", r.body, len(w.hub.Requests()))
	}
	if n := strings.Count(w.logs.String(), `"msg":"audit"`); n != 3 {
		t.Errorf("%d decisions are logged, want 3", n)
	}
	r = w.post(apps(2, "2", ""), "Authorization", ci)
	wantCommitted(t, r)
	if message := w.log()[0].Message; strings.Count(message, "Rule: two\n") != 1 || strings.Count(message, "Image: ") != 2 {
		t.Errorf("message %q", message)
	}
	if other := w.get("/v1/updates/"+r.update.Id, "Authorization", first); other.status != http.StatusNotFound {
		t.Errorf("who may move one of two images sees both: %s", other.body)
	}
	if page := w.get("/v1/updates", "Authorization", first).page; len(page.Updates) != 0 {
		t.Errorf("and lists them: %+v", page)
	}
}

// TestCostOfSeveralImages compares what forty images cost with what one costs.
func TestCostOfSeveralImages(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, withFiles(appFiles(40)))
	wantCommitted(t, w.post(apps(1, "2", "")))
	mark := len(w.calls())
	wantCommitted(t, w.post(apps(1, "3", "")))
	single := w.spentSince(mark)
	wantCommitted(t, w.post(apps(40, "4", ""))) // reads what it has not read yet
	mark = len(w.calls())
	wantCommitted(t, w.post(apps(40, "5", "")))
	if forty := w.spentSince(mark); strings.Join(forty, "\n") != strings.Join(single, "\n") {
		t.Errorf("forty images: %q, one: %q", forty, single)
	}
}

// An answer of before is what it was: no field of a list is in it.
func TestOneImageIsAnsweredAsBefore(t *testing.T) {
	t.Parallel()
	w := start(t, onMain)
	r := w.post(mission)
	wantCommitted(t, r)
	var body map[string]any
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		t.Fatal(err)
	}
	if _, ok := body["images"]; ok || strings.Contains(r.body, `"superseded"`) || changesOf(r.update.Targets[0])[""] == 0 {
		t.Errorf("%s", r.body)
	}
}
