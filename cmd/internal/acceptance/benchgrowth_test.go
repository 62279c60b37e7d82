package acceptance_test

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// growth is something that there may be more and more of, and what that costs.
type growth struct {
	of    string // what grows
	sizes [3]int // how much of it there is, from little to much
	// measure returns the costs of one size, the same ones in the same order for each.
	measure func(b *testing.B, binary string, n int) []cost
}

// cost is one figure, with its unit in its name.
type cost struct {
	name  string
	value float64
}

// growths are the rows of the table.
func growths() []growth {
	return []growth{
		{"files", [3]int{1_000, 4_000, 16_000}, filesCost},
		{"changed files", [3]int{50, 500, 5_000}, changesCost},
		{"targets", [3]int{10, 50, 250}, targetsCost},
	}
}

// growthOf narrows the table.
var growthOf = flag.String("growth.of", ".", "what grows, as a regular expression, in BenchmarkGrowth")

// BenchmarkGrowth prints one table of what grows with what. The last column is the power
// with which a cost grows: 0 is flat, 1 is in proportion, 2 is with the square. One
// iteration (-benchtime 1x) is enough.
func BenchmarkGrowth(b *testing.B) {
	binary := buildProgram(b)
	for b.Loop() {
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "\nmore of\tcost, at %s for each request\tleast\tmiddle\tmost\tmost/least\tpower\t\n", benchLatency)
		for _, g := range growths() {
			if regexp.MustCompile(*growthOf).MatchString(g.of) {
				g.write(b, table, binary)
			}
		}
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
	}
}

// write measures one growth and writes its rows.
func (g growth) write(b *testing.B, table io.Writer, binary string) {
	b.Helper()
	var costs [3][]cost
	for i, n := range g.sizes {
		costs[i] = g.measure(b, binary, n)
	}
	fmt.Fprintf(table, "%s\t\t%d\t%d\t%d\t%.0f\t\t\n", g.of, g.sizes[0], g.sizes[1], g.sizes[2], float64(g.sizes[2])/float64(g.sizes[0]))
	for row, c := range costs[0] {
		least, middle, most := c.value, costs[1][row].value, costs[2][row].value
		fmt.Fprintf(table, "\t%s\t%.5g\t%.5g\t%.5g\t%.1f\t%.1f\t\n", c.name, least, middle, most, most/least, g.power(least, most))
	}
}

// power is that of the growth from the smallest to the largest size.
func (g growth) power(least, most float64) float64 {
	return math.Log(most/least) / math.Log(float64(g.sizes[2])/float64(g.sizes[0]))
}

// costs are the figures of a measurement, each with what was done before its name.
func (m measured) costs(what string) []cost {
	return []cost{
		{what + ", ms", m.wall.Seconds() * 1e3},
		{what + ", requests", float64(m.requests)},
		{what + ", CPU ms", m.cpu.Seconds() * 1e3},
		{what + ", peak MB", float64(m.peak) / 1e6},
	}
}

// filesCost is what an update costs in a repository of n files, one of which changes.
func filesCost(b *testing.B, binary string, n int) []cost {
	b.Helper()
	f := newFarm(b, binary, n)
	defer f.close()
	var warm []measured
	for range 5 {
		warm = append(warm, f.warm())
	}
	return slices.Concat(f.cold().costs("cold"), middle(warm).costs("warm"))
}

// middle is a run of the median time, with the mean of the CPU time.
func middle(runs []measured) measured {
	wall := median(runs, func(m measured) time.Duration { return m.wall })
	m := runs[slices.IndexFunc(runs, func(m measured) bool { return m.wall == wall })]
	m.cpu = mean(runs)
	return m
}

// changesCost is what an update costs that changes n files.
func changesCost(b *testing.B, binary string, n int) []cost {
	b.Helper()
	f := newEstate(b, binary, 1, func(int) map[string]string { return changing(n) })
	defer f.front.Close()
	p := f.program()
	defer p.stop()
	p.mustSet("octo-org/all", f.version())
	return f.timed(p, func() { p.mustSet("octo-org/all", f.version()) }).costs("warm")
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
	p := f.program("GITHUB_REPOSITORY=", "GITHUB_BRANCH=", "CONFIG_FILE="+path, fmt.Sprintf("GOMEMLIMIT=%d", podLimit))
	defer p.stop()
	first := f.timed(p, func() { p.mustSet("octo-org/of-0", f.version()) })
	next := f.timed(p, func() { p.mustSet("octo-org/of-1", f.version()) })
	return slices.Concat(first.costs("first"), next.costs("next"))
}
