package acceptance_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// imagePage is a page of GET /v1/images.
type imagePage struct {
	Images     []api.ImageReference `json:"images"`
	NextCursor string               `json:"next_cursor"`
	Unread     []api.UnreadTarget   `json:"unread"`
}

// images asks for a page, whose body goes into into.
func (w *world) images(into any, query string, headers ...string) reply {
	w.t.Helper()
	r := w.get("/v1/images"+query, headers...)
	if r.status != http.StatusOK {
		w.t.Fatalf("GET /v1/images%s is answered %d: %s", query, r.status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), into); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// lines are references as TARGET PATH:LINE:COLUMN NAME VERSION STATE.
func lines(references []api.ImageReference) []string {
	var all []string
	for _, r := range references {
		all = append(all, fmt.Sprintf("%s %s:%d:%d %s %s %s", r.Target, r.Path, r.Line, r.Column, r.Name, r.Version, r.State))
	}
	return all
}

// estate has two targets on one branch, with every kind of reference.
var estate = map[string]string{
	"staging/web.yaml":                deployment("ghcr.io/octo-org/web:1.5.0-rc.1"),
	"staging/kustomization.yaml":      "images:\n  - name: redis\n    newTag: \"7.2\"\n",
	"production/web.yaml":             deployment("ghcr.io/octo-org/web:1.4.0"),
	"production/db.yaml":              deployment("postgres:16.1@sha256:" + strings.Repeat("a", 64)),
	"production/held.yaml":            deployment("redis:7.2 # versions-service: hold"),
	"production/template.yaml":        "image: ghcr.io/octo-org/web:{{ .Values.tag }}\n",
	"production/chart/values.yaml":    "image:\n  repository: ghcr.io/octo-org/api\n  tag: \"2.0\"\n",
	"production/chart/values-eu.yaml": "image:\n  tag: \"1.9\"\n",
	"production/both.yaml":            "a: {image: busybox:1.36}\nb: {image: busybox:1.36}\n",
	"elsewhere.yaml":                  deployment("ghcr.io/octo-org/web:0.1"),
}

const estateConfig = `
targets:
  - name: staging
    repository: refty-yapi/refty-infra-test
    branch: main
    paths: {include: ["staging/**"]}
  - name: production
    repository: refty-yapi/refty-infra-test
    branch: main
    paths: {include: ["production/**"]}
`

func TestImages(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(estate), withConfig(estateConfig))
	whole := []string{
		"production production/both.yaml:1:12 docker.io/library/busybox 1.36 current",
		"production production/both.yaml:2:12 docker.io/library/busybox 1.36 current",
		"production production/chart/values-eu.yaml:2:9 ghcr.io/octo-org/api 1.9 override",
		"production production/chart/values.yaml:3:9 ghcr.io/octo-org/api 2.0 current",
		"production production/db.yaml:8:18 docker.io/library/postgres 16.1 current",
		"production production/held.yaml:8:18 docker.io/library/redis 7.2 held",
		"production production/template.yaml:1:8 ghcr.io/octo-org/web  templated",
		"production production/web.yaml:8:18 ghcr.io/octo-org/web 1.4.0 current",
		"staging staging/kustomization.yaml:3:14 docker.io/library/redis 7.2 current",
		"staging staging/web.yaml:8:18 ghcr.io/octo-org/web 1.5.0-rc.1 current",
	}
	var first imagePage
	answer := w.images(&first, "")
	t.Run("whole", func(t *testing.T) {
		if diff := cmp.Diff(whole, lines(first.Images)); diff != "" {
			t.Errorf("images (-want +got):\n%s", diff)
		}
		digest := "sha256:" + strings.Repeat("a", 64)
		want := api.ImageReference{
			Image: "postgres", Name: "docker.io/library/postgres", Target: "production", Repository: repoName, Branch: "main",
			Path: "production/db.yaml", Line: 8, Column: 18, Pointer: "/spec/template/spec/containers/0/image",
			Version: "16.1", Digest: &digest, State: "current",
		}
		if diff := cmp.Diff(want, first.Images[4]); diff != "" {
			t.Errorf("a reference (-want +got):\n%s", diff)
		}
		if got := answer.header.Get("Vary"); got != "Accept, Authorization" {
			t.Errorf("Vary is %q", got)
		}
	})
	t.Run("filters", func(t *testing.T) {
		for query, want := range map[string][]string{
			"?target=staging":                         whole[8:],
			"?image=ghcr.io/octo-org/*":               {whole[2], whole[3], whole[6], whole[7], whole[9]},
			"?image=redis":                            {whole[5], whole[8]},
			"?path=production/chart/**":               whole[2:4],
			"?version=1.36":                           whole[:2],
			"?version=7.2&target=staging&image=redis": whole[8:9],
			"?image=ghcr.io/octo-org/none":            nil,
		} {
			var page imagePage
			w.images(&page, query)
			if diff := cmp.Diff(want, lines(page.Images)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", query, diff)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		var got []string
		for cursor := ""; ; {
			var page imagePage
			w.images(&page, "?limit=3"+cursor)
			got = append(got, lines(page.Images)...)
			if page.NextCursor == "" {
				break
			}
			if len(page.Images) != 3 {
				t.Fatalf("a page has %d images", len(page.Images))
			}
			cursor = "&cursor=" + url.QueryEscape(page.NextCursor)
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Errorf("pages (-want +got):\n%s", diff)
		}
	})
	t.Run("table", func(t *testing.T) {
		r := w.get("/v1/images?limit=2", "Accept", "text/csv")
		rows, err := csv.NewReader(strings.NewReader(r.body)).ReadAll()
		if err != nil || len(rows) != len(whole)+1 {
			t.Fatalf("%d rows, %v:\n%s", len(rows), err, r.body)
		}
		for i, row := range rows[1:] {
			if got := fmt.Sprintf("%s %s:%s:%s %s %s %s", row[2], row[5], row[6], row[7], row[1], row[9], row[11]); got != whole[i] {
				t.Errorf("row %d is %s, want %s", i, got, whole[i])
			}
		}
		if got := strings.Join(rows[0], ","); got != "image,name,target,repository,branch,path,line,column,pointer,version,digest,state" {
			t.Errorf("header row %s", got)
		}
		if again := w.get("/v1/images?limit=2", "Accept", "text/csv", "If-None-Match", r.header.Get("ETag")); again.status != http.StatusNotModified {
			t.Errorf("the same table again is answered %d", again.status)
		}
		if again := w.get("/v1/images", "If-None-Match", r.header.Get("ETag")); again.status != http.StatusOK {
			t.Errorf("a page in place of the table is answered %d", again.status)
		}
	})
	t.Run("groups", func(t *testing.T) {
		var page api.ImageGroupPage
		w.images(&page, "?group_by=image")
		var got []string
		for _, g := range page.Images {
			got = append(got, fmt.Sprint(g.Name, g.Versions, " ", g.Drift))
		}
		want := []string{
			"docker.io/library/busybox[{1.36 2 [production]}] false",
			"docker.io/library/postgres[{16.1 1 [production]}] false",
			"docker.io/library/redis[{7.2 2 [production staging]}] false",
			"ghcr.io/octo-org/api[{1.9 1 [production]} {2.0 1 [production]}] true",
			"ghcr.io/octo-org/web[{ 1 [production]} {1.4.0 1 [production]} {1.5.0-rc.1 1 [staging]}] true",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("groups (-want +got):\n%s", diff)
		}
		var names []string
		for cursor := ""; ; {
			var part api.ImageGroupPage
			w.images(&part, "?group_by=image&limit=2"+cursor)
			for _, g := range part.Images {
				names = append(names, g.Name)
			}
			if part.NextCursor == nil {
				break
			}
			cursor = "&cursor=" + url.QueryEscape(*part.NextCursor)
		}
		if len(names) != len(want) || !slices.IsSorted(names) {
			t.Errorf("the pages have %q", names)
		}
	})
	t.Run("comparison", func(t *testing.T) {
		var page struct{ Images []map[string]any }
		r := w.images(&page, "?compare=staging,production&image=**/{web,redis,postgres}")
		want := []map[string]any{
			{"name": "docker.io/library/postgres", "staging": []any{}, "production": []any{"16.1@sha256:" + strings.Repeat("a", 64)}, "same": false},
			{"name": "docker.io/library/redis", "staging": []any{"7.2"}, "production": []any{"7.2"}, "same": true},
			{"name": "ghcr.io/octo-org/web", "staging": []any{"1.5.0-rc.1"}, "production": []any{"", "1.4.0"}, "same": false},
		}
		if diff := cmp.Diff(want, page.Images); diff != "" {
			t.Errorf("comparison (-want +got):\n%s\n%s", diff, r.body)
		}
	})
	t.Run("wrong parameters", func(t *testing.T) {
		for _, query := range []string{
			"?target=none", "?compare=staging,none", "?compare=staging,staging", "?compare=staging", "?cursor=none", "?image=[",
			"?path=[", "?limit=0", "?limit=1001", "?group_by=path", "?group_by=image&compare=staging,production", "?nothing=1",
			"?group_by=image&cursor=" + url.QueryEscape(cursorAfter(w)),
		} {
			wantProblem(t, w.get("/v1/images"+query), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
		}
	})
	t.Run("an update and a push", func(t *testing.T) {
		tag := answer.header.Get("ETag")
		if r := w.get("/v1/images", "If-None-Match", `"other", W/`+tag); r.status != http.StatusNotModified || r.body != "" || r.header.Get("ETag") != tag {
			t.Errorf("status %d with %q: %s", r.status, r.header.Get("ETag"), r.body)
		}
		wantCommitted(t, w.post(setTo("ghcr.io/octo-org/web", "1.6.0")))
		w.push(map[string]string{"production/both.yaml": ""})
		r := w.get("/v1/images?image=**/{web,busybox}&version=1.6.0", "If-None-Match", tag)
		var page imagePage
		if err := json.Unmarshal([]byte(r.body), &page); err != nil || r.status != http.StatusOK {
			t.Fatalf("status %d, %v", r.status, err)
		}
		want := []string{
			"production production/web.yaml:8:18 ghcr.io/octo-org/web 1.6.0 current",
			"staging staging/web.yaml:8:18 ghcr.io/octo-org/web 1.6.0 current",
		}
		if diff := cmp.Diff(want, lines(page.Images)); diff != "" {
			t.Errorf("images (-want +got):\n%s", diff)
		}
	})
}

// cursorAfter is a cursor of a page of references.
func cursorAfter(w *world) string {
	var page imagePage
	w.images(&page, "?limit=1")
	return page.NextCursor
}

// A look costs what a first update costs without its writes, then one conditional
// request, and after a push what the push changed.
func TestCostOfImages(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, withFiles(manyFiles(30)))
	var page imagePage
	mark := w.mark()
	w.images(&page, "")
	w.wantSpent(mark, callTarball, callHead, callTree)
	if len(page.Images) != 34 {
		t.Errorf("%d images", len(page.Images))
	}
	for _, query := range []string{"", "?limit=10", "?group_by=image", "?version=1"} {
		mark = w.mark()
		w.images(&page, query)
		w.wantSpent(mark, callHeadStands)
	}
	mark = w.mark()
	wantCommitted(t, w.post(mission)) // knows every file already
	w.wantSpent(mark, append(writes(), callHeadStands)...)
	mark = w.mark()
	w.images(&page, "")
	w.wantSpent(mark, callHead)
	w.push(map[string]string{"teams/03/app-00003.yaml": deployment("octo-org/app-00003:2")})
	mark = w.mark()
	w.images(&page, "?version=2")
	w.wantSpent(mark, callHead, callTree, callBlob)
	if len(page.Images) != 1 {
		t.Errorf("%d images", len(page.Images))
	}
	mark = w.mark()
	if r := w.get("/v1/images", "Accept", "text/csv"); r.status != http.StatusOK || strings.Count(r.body, "\n") != 35 {
		t.Errorf("status %d, %d lines", r.status, strings.Count(r.body, "\n"))
	}
	w.wantSpent(mark, callHeadStands)
}

// A first look at a large repository takes one archive, as a first update does.
func TestCostOfImagesCold(t *testing.T) {
	t.Parallel()
	files := largeRepository()
	w := start(t, onMain, withFiles(manyFiles(files)))
	var page imagePage
	w.images(&page, fmt.Sprint("?limit=", files/3))
	w.wantSpent(0, callHead, callTree, callTarball)
	wantCommitted(t, w.post(setTo(fmt.Sprintf("octo-org/app-%05d", files-1), "2")))
	if len(page.Images) != files/3 || page.NextCursor == "" {
		t.Errorf("%d images", len(page.Images))
	}
}

func TestImagesOfRules(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	w := start(t, withRules(j), withFiles(estate))
	job, bot := j.token(t, nil), "Bearer token-of-the-release-bot"
	var own, all imagePage
	mine := w.images(&own, "", "Authorization", job)
	others := w.images(&all, "", "Authorization", bot)
	for _, r := range own.Images {
		if !strings.HasPrefix(r.Name, "ghcr.io/refty-yapi/refty-node") {
			t.Errorf("a job sees %s", r.Name)
		}
	}
	if len(own.Images) != 3 || len(all.Images) < 10 || mine.header.Get("ETag") == others.header.Get("ETag") {
		t.Errorf("the job sees %d images, the bot %d", len(own.Images), len(all.Images))
	}
	if r := w.get("/v1/images", "Authorization", job, "If-None-Match", others.header.Get("ETag")); r.status != http.StatusOK {
		t.Errorf("another caller's tag is answered %d", r.status)
	}
	table := w.get("/v1/images", "Authorization", bot, "Accept", "text/csv")
	mineToo := w.get("/v1/images", "Authorization", job, "Accept", "text/csv", "If-None-Match", table.header.Get("ETag"))
	if mineToo.status != http.StatusOK || strings.Count(mineToo.body, "\n") != 4 {
		t.Errorf("the job's table is answered %d:\n%s", mineToo.status, mineToo.body)
	}
	if r := w.get("/v1/images"); r.status != http.StatusUnauthorized {
		t.Errorf("without a token it is answered %d", r.status)
	}
}

// A target that cannot be read does not hide the others, and the answer says so.
func TestImagesOfBrokenTargets(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(`
targets:
  - name: fine
    repository: refty-yapi/refty-infra-test
    branch: main
  - name: gone
    repository: refty-yapi/refty-infra-test
    branch: gone
`))
	var page imagePage
	w.images(&page, "")
	if len(page.Images) != 4 || len(page.Unread) != 1 || page.Unread[0].Target != "gone" || page.Unread[0].Problem.Code != api.ProblemCodeBranchNotFound {
		t.Errorf("%d images, unread %+v", len(page.Images), page.Unread)
	}
	wantProblem(t, w.get("/v1/images?target=gone"), http.StatusNotFound, api.ProblemCodeBranchNotFound)
	wantProblem(t, w.get("/v1/images", "Accept", "text/csv"), http.StatusNotFound, api.ProblemCodeBranchNotFound)
	wantProblem(t, w.get("/v1/images?compare=fine,gone"), http.StatusNotFound, api.ProblemCodeBranchNotFound)
	w.hub.Inject(sandbox.BadGateway().On(http.MethodGet, "branches").For(100))
	r := w.get("/v1/images?target=fine")
	wantProblem(t, r, http.StatusBadGateway, api.ProblemCodeUpstreamError)
	if strings.Contains(r.body, "written") {
		t.Errorf("a look tells of writes: %s", r.body)
	}
}

// A table is written while it is found: the rows of a target arrive before the next one
// is read.
func TestTableIsStreamed(t *testing.T) {
	t.Parallel()
	const rows = 400
	w := start(t, withFiles(map[string]string{"many.yaml": strings.Repeat("---\nimage: ghcr.io/octo-org/web:1\n", rows)}),
		withRepository("octo-org/second", map[string]string{"one.yaml": deployment("redis:7")}), withConfig(`
targets:
  - {name: first, repository: refty-yapi/refty-infra-test, branch: main, paths: {include: [many.yaml]}}
  - {name: second, repository: octo-org/second, branch: main}
`))
	release := make(chan struct{})
	slow := sandbox.Call(func() { <-release }).On(http.MethodGet, "git/blobs").Once()
	slow.Repository = "octo-org/second"
	w.hub.Inject(slow)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/v1/images", nil)
	w.must(err)
	request.Header.Set("Accept", "text/csv")
	response, err := new(http.Client).Do(request)
	w.must(err)
	defer func() { _ = response.Body.Close() }()
	table := csv.NewReader(response.Body)
	for range rows / 2 {
		if _, err := table.Read(); err != nil {
			t.Fatalf("no row arrives while the second target is read: %v", err)
		}
	}
	close(release)
	rest, err := table.ReadAll()
	if got := rows/2 + len(rest) - 1; err != nil || got != rows+1 {
		t.Errorf("%d rows in all: %v", got, err)
	}
}
