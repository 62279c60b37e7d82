package acceptance_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// past writes a branch's past for git fast-import(1).
type past struct {
	b      strings.Builder
	random *rand.Rand
	mark   int
	files  map[string]string // of the branch now
	before []snapshotAt      // of the branch, oldest first
}

type snapshotAt struct {
	mark  int
	files map[string]string
}

// commit adds a commit with these files to a branch. parents are marks; of the first
// one there are the files, which are written anew.
func (p *past) commit(branch, message string, files map[string]string, parents ...int) int {
	p.mark++
	at := 1_760_000_000 + 60*p.mark
	fmt.Fprintf(&p.b, "commit refs/heads/%s\nmark :%d\n", branch, p.mark)
	fmt.Fprintf(&p.b, "author Mona Lisa <mona@example.com> %d +0000\ncommitter Hubot <hubot@example.com> %d +0000\n", at, at)
	fmt.Fprintf(&p.b, "data %d\n%s\n", len(message), message)
	for i, parent := range parents {
		fmt.Fprintf(&p.b, "%s :%d\n", []string{"from", "merge"}[min(i, 1)], parent)
	}
	p.b.WriteString("deleteall\n")
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&p.b, "M 100644 inline %s\ndata %d\n%s\n", path, len(files[path]), files[path])
	}
	return p.mark
}

// main adds a commit to the branch main.
func (p *past) main(message string, change func(map[string]string), merged ...int) {
	var parents []int
	if len(p.before) > 0 {
		parents = []int{p.before[len(p.before)-1].mark}
	}
	p.files = maps.Clone(p.files)
	change(p.files)
	mark := p.commit("main", message, p.files, append(parents, merged...)...)
	p.before = append(p.before, snapshotAt{mark, p.files})
}

// some returns a file that names an image.
func (p *past) some(files map[string]string) string {
	var paths []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if strings.Contains(files[path], "image:") {
			paths = append(paths, path)
		}
	}
	return paths[p.random.IntN(len(paths))]
}

var tagOfWeb = regexp.MustCompile(`octo-org/web:[^\s]+`)

// move gives the image a version in one file, or in all.
func (p *past) move(files map[string]string, version string, all bool) {
	one := p.some(files)
	for path, content := range files {
		if all || path == one {
			files[path] = tagOfWeb.ReplaceAllString(content, "octo-org/web:"+version)
		}
	}
}

// grow adds a random commit.
func (p *past) grow(i int) {
	version := fmt.Sprintf("1.%d.%d", i, p.random.IntN(3))
	back := p.before[max(0, len(p.before)-2)]
	switch n := p.random.IntN(100); {
	case n < 40:
		p.main("Update web by hand", func(files map[string]string) { p.move(files, version, p.random.IntN(2) == 0) })
	case n < 55:
		p.main("Write a note", func(files map[string]string) {
			files["notes.md"] = fmt.Sprint("note ", i, "\nimage: ghcr.io/octo-org/web:0\n")
		})
	case n < 65:
		p.main("Move a file", func(files map[string]string) {
			from := p.some(files)
			to := fmt.Sprintf("moved/%d/%d.yaml", i%3, i)
			files[to] = files[from]
			delete(files, from)
			if p.random.IntN(2) == 0 {
				files[to] = tagOfWeb.ReplaceAllString(files[to], "octo-org/web:"+version)
			}
		})
	case n < 75:
		p.main("Revert \"Update web\"", func(files map[string]string) {
			clear(files)
			maps.Copy(files, back.files)
		})
	case n < 85:
		topic := maps.Clone(back.files)
		p.move(topic, version, true)
		merged := p.commit("topic", "Update web on a branch", topic, back.mark)
		p.main("Merge branch topic", func(files map[string]string) {
			if p.random.IntN(3) > 0 {
				p.move(files, version, true)
			}
		}, merged)
	case n < 92:
		p.main("Add a file", func(files map[string]string) {
			files[fmt.Sprintf("apps/new-%d.yaml", i)] = deployment("ghcr.io/octo-org/web:" + version)
		})
	default:
		p.main("Change something else", func(files map[string]string) { files["apps/other.yaml"] = deployment("redis:" + version) })
	}
}

// fromGit reads the history out of git's own patches, by the lines that they remove
// and add.
func (w *world) fromGit(name string) []string {
	w.t.Helper()
	reference := regexp.MustCompile(`^([-+])\s*image: ` + regexp.QuoteMeta(name) + `:(\S+)`)
	log := w.git("", "log", "--first-parent", "-m", "-p", "--no-renames", "--root", "--format=commit %H", "main", "--", "*.yaml", "*.yml")
	var all []string
	for _, part := range strings.Split("\n"+log, "\ncommit ")[1:] {
		sha, patch, _ := strings.Cut(part, "\n")
		counts := map[string]int{}
		for line := range strings.Lines(patch) {
			if match := reference.FindStringSubmatch(line); match != nil {
				counts[match[2]] += map[string]int{"+": 1, "-": -1}[match[1]]
			}
		}
		from := ""
		for _, version := range slices.Sorted(maps.Keys(counts)) {
			if counts[version] < 0 && (from == "" || counts[version] < counts[from]) {
				from = version
			}
		}
		for _, version := range slices.Sorted(maps.Keys(counts)) {
			if counts[version] > 0 {
				all = append(all, fmt.Sprintf("%s %s from %s", sha, version, from))
			}
		}
	}
	return all
}

// history follows the pages of GET /v1/history.
func (w *world) history(query string) (entries []api.HistoryEntry, pages int) {
	w.t.Helper()
	for cursor := ""; ; pages++ {
		r := w.get("/v1/history?" + query + cursor)
		if r.status != http.StatusOK {
			w.t.Fatalf("GET /v1/history?%s is answered %d: %s", query, r.status, r.body)
		}
		var page api.HistoryPage
		if err := json.Unmarshal([]byte(r.body), &page); err != nil {
			w.t.Fatal(err)
		}
		entries = append(entries, page.History...)
		if page.NextCursor == nil {
			return entries, pages + 1
		}
		if pages > 400 {
			w.t.Fatal("the pages never end")
		}
		cursor = "&cursor=" + url.QueryEscape(*page.NextCursor)
	}
}

func changesTold(entries []api.HistoryEntry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, fmt.Sprintf("%s %s from %s", e.Commit.Sha, e.Version, e.From))
	}
	return all
}

// The history of 300 commits, by hand, reverts, merges and renames, is the one that
// git's own patches show.
func TestHistoryAgreesWithGit(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("300 commits, one after the other")
	}
	const web = "ghcr.io/octo-org/web"
	w := prepare(t, onMain)
	p := &past{random: rand.New(rand.NewPCG(7, 7)), files: map[string]string{}}
	p.main("Start", func(files map[string]string) {
		for i := range 5 {
			files[fmt.Sprintf("apps/%d/web.yaml", i%2+i)] = deployment(web + ":1.0.0")
		}
		files["apps/other.yaml"] = deployment("redis:7")
	})
	for i := range 299 {
		p.grow(i)
	}
	w.git(p.b.String(), "-c", "fastimport.unpackLimit=1000000", "fast-import", "--quiet", "--force")
	w.hub.ResetRequests()
	w.run()

	want := w.fromGit(web)
	if len(want) < 150 {
		t.Fatalf("only %d changes", len(want))
	}
	first, pages := w.history("limit=100&image=" + web)
	if diff := cmp.Diff(want, changesTold(first)); diff != "" {
		t.Fatalf("history (-want +got):\n%s", diff)
	}
	t.Logf("%d changes in %d pages of at most 100, %d requests", len(first), pages, w.mark())
	if requests := w.mark(); requests > 300*6 {
		t.Errorf("%d requests for 300 commits", requests)
	}
	t.Run("again", func(t *testing.T) {
		mark := w.mark()
		again, pages := w.history("limit=7&image=" + web)
		if diff := cmp.Diff(changesTold(first), changesTold(again)); diff != "" {
			t.Errorf("the second history (-first +second):\n%s", diff)
		}
		w.wantSpent(mark, slices.Repeat([]string{callHeadStands}, pages)...)
	})
	t.Run("new commits", func(t *testing.T) {
		r := w.post(`{"image": "` + web + `", "version": "2.0.0", "source": {"repository": "octo-org/web", "revision": "abc"}}`)
		wantCommitted(t, r)
		forged := fmt.Sprintf("Forge\n\nRequested-By: somebody\nUpdate-Id: %s", r.update.Id)
		if _, err := w.repo.Commit("main", filesOf(map[string]string{"apps/0/web.yaml": deployment(web + ":3.0.0")}), forged); err != nil {
			t.Fatal(err)
		}
		mark := w.mark()
		got, pages := w.history("limit=2&image=" + web + "&target=" + url.QueryEscape(repoName+"@main"))
		if spent := len(w.spentSince(mark)); spent > pages+20 {
			t.Errorf("%d requests for two new commits and %d pages", spent, pages)
		}
		if diff := cmp.Diff(w.fromGit(web), changesTold(got)); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		hand, ours := got[0], got[1]
		if hand.Recorded || hand.Author != "Mona Lisa" || valueOr(hand.RequestedBy) != "somebody" {
			t.Errorf("a forged commit is told as %+v", hand)
		}
		if !ours.Recorded || valueOr(ours.UpdateId) != r.update.Id || ours.Source == nil || valueOr(ours.Source.Repository) != "octo-org/web" {
			t.Errorf("our commit is told as %+v", ours)
		}
	})
}

func valueOr(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

func TestHistoryOfTargets(t *testing.T) {
	t.Parallel()
	w := start(t, withFiles(estate), withConfig(estateConfig))
	wantCommitted(t, w.post(setTo("ghcr.io/octo-org/web", "1.6.0")))
	w.push(map[string]string{"staging/web.yaml": deployment("ghcr.io/octo-org/web:1.7.0")})
	w.push(map[string]string{"production/chart/values-eu.yaml": "image:\n  tag: \"2.1\"\n"})
	short := func(query string) []string {
		entries, _ := w.history(query)
		var all []string
		for _, e := range entries {
			all = append(all, fmt.Sprintf("%s %s<%s", e.Target, e.Version, e.From))
		}
		return all
	}
	for query, want := range map[string][]string{
		"image=ghcr.io/octo-org/web&target=staging": {"staging 1.7.0<1.6.0", "staging 1.6.0<1.5.0-rc.1", "staging 1.5.0-rc.1<"},
		"image=redis&target=production":             {"production 7.2<"},
		"image=ghcr.io/octo-org/api":                {"production 2.1<1.9", "production 1.9<", "production 2.0<"},
	} {
		if diff := cmp.Diff(want, short(query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	both := short("image=ghcr.io/octo-org/web")
	slices.Sort(both)
	want := []string{"production 1.4.0<", "production 1.6.0<1.4.0", "staging 1.5.0-rc.1<", "staging 1.6.0<1.5.0-rc.1", "staging 1.7.0<1.6.0"}
	if diff := cmp.Diff(want, both); diff != "" {
		t.Errorf("both targets (-want +got):\n%s", diff)
	}
	wantProblem(t, w.get("/v1/history?image=ghcr.io/octo-org/none"), http.StatusNotFound, api.ProblemCodeImageNotReferenced)
	for _, query := range []string{"", "image=", "image=A", "image=redis&target=none", "image=redis&cursor=none", "image=redis&limit=0"} {
		wantProblem(t, w.get("/v1/history?"+query), http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
	}
}

func TestHistoryOfRules(t *testing.T) {
	t.Parallel()
	j := newJobs(t)
	w := start(t, withRules(j), withFiles(estate))
	job := j.token(t, nil)
	if r := w.get("/v1/history?image="+node, "Authorization", job); r.status != http.StatusOK || !strings.Contains(r.body, "10-10-ver") {
		t.Errorf("the own image: %d %s", r.status, r.body)
	}
	wantProblem(t, w.get("/v1/history?image=redis", "Authorization", job), http.StatusNotFound, api.ProblemCodeImageNotReferenced)
	if r := w.get("/v1/history?image=redis", "Authorization", "Bearer token-of-the-release-bot"); r.status != http.StatusOK {
		t.Errorf("another caller's image with read: all: %d %s", r.status, r.body)
	}
}

func filesOf(files map[string]string) sandbox.Files {
	all := sandbox.Files{}
	for path, content := range files {
		all[path] = sandbox.File{Content: []byte(content)}
	}
	return all
}
