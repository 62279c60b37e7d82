package acceptance_test

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const (
	// benchLatency is what every request to GitHub waits for, those of git included.
	benchLatency = 40 * time.Millisecond
	// benchRounds is how often each way is measured, one after the other in turn, so
	// that a busy moment of the machine strikes all of them.
	benchRounds = 5
	// benchClients post at once, each an image of its own.
	benchClients = 50
)

// BenchmarkUpdates prints a table of what one changed version costs: this program,
// cold and warm, beside what else is done, on the same repository and behind the
// same latency. One iteration (-benchtime 1x) is enough and takes some minutes.
func BenchmarkUpdates(b *testing.B) {
	binary := buildProgram(b)
	for b.Loop() {
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "\nfiles\tway, at %s for each request\tms\tfrom\tto\ttimes warm\trequests\tkB\tCPU ms\tpeak MB\t\n", benchLatency)
		var crowd string
		for _, files := range []int{100, 1_000, 10_000} {
			f := newFarm(b, binary, files)
			writeRows(table, files, f.measure())
			if files == 1_000 {
				crowd = f.crowd()
			}
			f.close()
		}
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(os.Stdout, "\nRequests are all on the line; of the cold update's one is the download behind the archive's redirect.\n%s\n%s\n", crowd, huge(b, binary))
	}
}

// measured is what one measurement came to.
type measured struct {
	wall     time.Duration
	requests int
	bytes    int64
	cpu      time.Duration
	peak     int64 // bytes; 0 when it cannot be had
}

// row are all measurements of one way.
type row struct {
	way  string
	runs []measured
}

// median is that of one column.
func median[T cmp.Ordered](runs []measured, of func(measured) T) T {
	var all []T
	for _, m := range runs {
		all = append(all, of(m))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// mean is that of the CPU time, which is told in coarse ticks.
func mean(runs []measured) time.Duration {
	var sum time.Duration
	for _, m := range runs {
		sum += m.cpu
	}
	return sum / time.Duration(len(runs))
}

// wayWarm is the way that the others are compared with.
const wayWarm = "this service, warm"

func writeRows(out io.Writer, files int, rows []row) {
	wall := func(m measured) time.Duration { return m.wall }
	var warm time.Duration
	for _, r := range rows {
		if r.way == wayWarm {
			warm = median(r.runs, wall)
		}
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	for _, r := range rows {
		slowest := slices.MaxFunc(r.runs, func(a, b measured) int { return cmp.Compare(a.wall, b.wall) })
		quickest := slices.MinFunc(r.runs, func(a, b measured) int { return cmp.Compare(a.wall, b.wall) })
		took := median(r.runs, wall)
		fmt.Fprintf(out, "%d\t%s\t%.0f\t%.0f\t%.0f\t%.1f\t%d\t%.0f\t", files, r.way, ms(took), ms(quickest.wall), ms(slowest.wall),
			took.Seconds()/warm.Seconds(), median(r.runs, func(m measured) int { return m.requests }),
			float64(median(r.runs, func(m measured) int64 { return m.bytes }))/1e3)
		peak := median(r.runs, func(m measured) int64 { return m.peak })
		if peak == 0 {
			fmt.Fprint(out, "-\t-\t\n")
			continue
		}
		fmt.Fprintf(out, "%.0f\t%.0f\t\n", ms(mean(r.runs)), float64(peak)/1e6)
	}
}

// measure takes every way in turn, several times.
func (f *farm) measure() []row {
	ways := []struct {
		name   string
		rounds int
		run    func() measured
	}{
		{"this service, cold", benchRounds, f.cold},
		{wayWarm, 3 * benchRounds, f.warm},
		{"shallow clone, commit, push", benchRounds, f.shallow},
		{"blobless sparse clone, commit, push", benchRounds, f.sparse},
		{"API, a request for each blob", max(1, min(benchRounds, 3_000/f.files)), f.naive},
	}
	rows := make([]row, len(ways))
	for round := range 3 * benchRounds {
		for i, w := range ways {
			rows[i].way = w.name
			if round < w.rounds {
				rows[i].runs = append(rows[i].runs, w.run())
			}
		}
	}
	return rows
}

const (
	hugeFiles = 50_000
	// hugeMemory is what the program may hold for a repository of twice as many
	// entries, of which half are YAML files.
	hugeMemory = 512 << 20
)

// huge measures a repository as large as GitHub lists in one answer, and one
// folder more, and tells what that came to in a line.
func huge(b *testing.B, binary string) string {
	b.Helper()
	f := newFarm(b, binary, hugeFiles)
	defer f.close()
	others := sandbox.Files{}
	for i := range hugeFiles {
		others[fmt.Sprintf("docs/%03d/note-%05d.md", i%100, i)] = sandbox.File{Content: fmt.Appendf(nil, "note %d\n", i)}
	}
	_, err := f.repo.Commit("main", others, "Add notes")
	f.must(err)
	cold, warm := f.cold(), f.warm()
	if peak := max(cold.peak, warm.peak); peak > hugeMemory {
		b.Errorf("%d bytes of memory, want at most %d", peak, int64(hugeMemory))
	}
	return fmt.Sprintf("%d entries, half of them YAML files: cold %.0f ms, %d requests, %.0f MB; warm %.0f ms, %d requests, %.0f MB",
		2*hugeFiles, cold.wall.Seconds()*1e3, cold.requests, float64(cold.peak)/1e6,
		warm.wall.Seconds()*1e3, warm.requests, float64(warm.peak)/1e6)
}

// crowd has many clients post at once and tells what that came to in a line.
func (f *farm) crowd() string {
	p := f.program()
	defer p.stop()
	var single []measured
	for range 5 {
		single = append(single, f.timed(p, func() { p.mustSet(f.image(0), f.version()) }))
	}
	before := f.commits()
	all := f.timed(p, func() {
		var clients sync.WaitGroup
		for i := range benchClients {
			clients.Go(func() { p.mustSet(f.image(i), "crowd") })
		}
		clients.Wait()
	})
	landed := f.grep(":crowd")
	one := median(single, func(m measured) time.Duration { return m.wall })
	return fmt.Sprintf("%d images posted at once by %d clients, %d files: %d landed in %d commits, %d requests, %.0f ms: %.1f times one update (%.0f ms)",
		benchClients, benchClients, f.files, landed, f.commits()-before, all.requests,
		all.wall.Seconds()*1e3, all.wall.Seconds()/one.Seconds(), one.Seconds()*1e3)
}
