package acceptance_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// growthRounds is how often what takes milliseconds is measured.
const growthRounds = 9

// costs are the figures of a measurement, each with what was done before its name.
func (m measured) costs(what string) []cost {
	return []cost{
		{what + ", ms", m.wall.Seconds() * 1e3},
		{what + ", requests", float64(m.requests)},
		{what + ", kB to and from GitHub", float64(m.bytes) / 1e3},
		{what + ", CPU ms", m.cpu.Seconds() * 1e3},
	}
}

// memory is the most that the program held, as a row.
func (m measured) memory(what string) []cost {
	return []cost{{what + ", peak MB", float64(m.peak) / 1e6}}
}

// middle is a run of the median time, with the mean of the CPU time.
func middle(runs []measured) measured {
	wall := median(runs, func(m measured) time.Duration { return m.wall })
	m := runs[slices.IndexFunc(runs, func(m measured) bool { return m.wall == wall })]
	m.cpu = mean(runs)
	return m
}

// rounds measures work several times and returns the middle.
func (f *farm) rounds(p *program, work func()) measured {
	f.b.Helper()
	var runs []measured
	for range growthRounds {
		runs = append(runs, f.timed(p, work))
	}
	return middle(runs)
}

// filesCost is what an update costs in a repository of n files, one of which changes: the
// first one, the next one, and one after somebody else has pushed a file.
func filesCost(b *testing.B, binary string, n int) []cost {
	b.Helper()
	f := newFarm(b, binary, n)
	defer f.close()
	cold := f.cold()
	f.steady.mustSet(f.image(2), f.version()) // after the cold one's commit
	warm := f.rounds(f.steady, func() { f.steady.mustSet(f.image(3), f.version()) })
	_, err := f.repo.Commit("main", sandbox.Files{f.path(n / 2): {Content: []byte("kind: List\n")}}, "Empty a file")
	f.must(err)
	pushed := f.timed(f.steady, func() { f.steady.mustSet(f.image(4), f.version()) })
	return slices.Concat(cold.costs("cold"), cold.memory("cold"), warm.costs("warm"), pushed.costs("after a push"))
}

// changesCost is what an update costs that changes n files.
func changesCost(b *testing.B, binary string, n int) []cost {
	b.Helper()
	f := newEstate(b, binary, 1, func(int) map[string]string { return changing(n) })
	defer f.front.Close()
	p := f.program()
	defer p.stop()
	p.mustSet("octo-org/all", f.version())
	warm := f.timed(p, func() { p.mustSet("octo-org/all", f.version()) })
	return slices.Concat(warm.costs("warm"), warm.memory("warm"))
}

// changing are n files in twenty folders that name one image.
func changing(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("apps/team-%02d/app-%05d.yaml", i%20, i)] = deployment("octo-org/all:1") + fmt.Sprintf("# %05d\n", i)
	}
	return files
}

// targetsCost is what the first update, of an image in one of n repositories, costs that
// names no repository, and what the next one costs.
func targetsCost(b *testing.B, binary string, n int) []cost {
	b.Helper()
	f := newEstate(b, binary, n, func(i int) map[string]string {
		files := map[string]string{}
		for j := range 21 {
			files[fmt.Sprintf("apps/app-%02d.yaml", j)] = deployment(fmt.Sprintf("octo-org/of-%d:1", i)) + fmt.Sprintf("# %d of %d\n", j, i)
		}
		return files
	})
	defer f.front.Close()
	var config strings.Builder
	config.WriteString("targets:\n")
	for i := range n {
		fmt.Fprintf(&config, "  - {repository: %s, branch: main}\n", estateName(i))
	}
	path := b.TempDir() + "/config.yaml"
	f.must(os.WriteFile(path, []byte(config.String()), 0o600))
	p := f.program("GITHUB_REPOSITORY=", "GITHUB_BRANCH=", "CONFIG_FILE="+path, "UPDATE_TIMEOUT=10m", fmt.Sprintf("GOMEMLIMIT=%d", podLimit))
	defer p.stop()
	first := f.timed(p, func() { p.mustSet("octo-org/of-0", f.version()) })
	next := f.timed(p, func() { p.mustSet("octo-org/of-1", f.version()) })
	return slices.Concat(first.costs("first"), next.costs("next"), next.memory("next"))
}

// waitingCost is what is stored of n updates, each of an image of its own, that wait for one
// branch and share its next commits; what is answered for each, and how long they take.
func waitingCost(b *testing.B, binary string, n int) []cost {
	b.Helper()
	f := newEstate(b, binary, 1, func(int) map[string]string {
		files := map[string]string{}
		for i := range n {
			files[fmt.Sprintf("apps/app-%05d.yaml", i)] = deployment(fmt.Sprintf("octo-org/app-%05d:1", i))
		}
		return files
	})
	defer f.front.Close()
	dir := b.TempDir()
	p := f.program("DATA_DIR=" + dir)
	defer p.stop()
	p.mustSet(f.image(0), f.version())
	before := f.stored(dir)
	addresses := make([]string, n)
	f.line.shut.Lock()
	for i := range n {
		addresses[i] = p.store(f.image(i), f.version())
	}
	drained := f.timed(p, func() {
		f.line.shut.Unlock()
		for strings.Contains(p.read("/v1/updates?status=queued&limit=1"), `"id"`) {
			<-time.After(time.Millisecond)
		}
	})
	answered := 0
	for _, address := range addresses {
		answered += len(p.read(address))
	}
	each := func(bytes int) float64 { return float64(bytes) / 1e3 / float64(n) }
	return append([]cost{{"stored of each, kB", each(f.stored(dir) - before)}, {"answered of each, kB", each(answered)}}, drained.costs("all of them")...)
}

// historyCost is what an update, a list by two filters and the metrics cost when n updates
// are stored.
func historyCost(b *testing.B, binary string, n int) []cost {
	b.Helper()
	f := newEstate(b, binary, 1, func(int) map[string]string { return changing(1) })
	defer f.front.Close()
	dir := b.TempDir()
	p := f.program("DATA_DIR=" + dir)
	p.mustSet("octo-org/all", f.version())
	p.stop()
	f.remember(dir, n)
	p = f.program("DATA_DIR=" + dir)
	defer p.stop()
	p.mustSet("octo-org/all", f.version())
	update := f.rounds(p, func() { p.mustSet("octo-org/all", f.version()) })
	list := f.rounds(p, func() { p.read("/v1/updates?image=octo-org/all-1&status=failed") }) // another image always fails
	metrics := f.rounds(p, func() { p.read("/metrics") })
	ms := func(m measured) float64 { return m.wall.Seconds() * 1e3 }
	return []cost{
		{"warm, ms", ms(update)},
		{"warm, CPU ms", update.cpu.Seconds() * 1e3},
		{"list by image and status, ms", ms(list)},
		{"metrics, ms", ms(metrics)},
		{"metrics, peak MB", float64(metrics.peak) / 1e6},
	}
}

// store has an update stored, and returns the path at which it is told of.
func (p *program) store(image, version string) string {
	request, err := http.NewRequest(http.MethodPost, p.url+"/v1/updates", strings.NewReader(setTo(image, version)))
	p.f.must(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Prefer", "respond-async")
	resp, err := http.DefaultClient.Do(request)
	p.f.must(err)
	defer func() { _ = resp.Body.Close() }()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusAccepted {
		p.f.b.Fatalf("%s to %s: %d %s", image, version, resp.StatusCode, answer)
	}
	return resp.Header.Get("Location")
}

// read returns what GET answers at a path.
func (p *program) read(path string) string {
	resp, err := http.Get(p.url + path)
	p.f.must(err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	p.f.must(err)
	if resp.StatusCode != http.StatusOK {
		p.f.b.Fatalf("%s: %d %s", path, resp.StatusCode, answer)
	}
	return string(answer)
}
