package acceptance_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"testing"
	"text/tabwriter"
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
		{"waiting images", [3]int{10, 100, 500}, waitingCost},
		{"stored updates", [3]int{1_000, 10_000, 100_000}, historyCost},
	}
}

var (
	// growthOf narrows the table.
	growthOf = flag.String("growth.of", ".", "what grows, as a regular expression, in BenchmarkGrowth")
	// growthProgram is another release's versions-service.
	growthProgram = flag.String("growth.program", "", "a program of another release that BenchmarkGrowth measures as well")
)

// BenchmarkGrowth prints tables of what grows with what. The last column is the power
// with which a cost grows: 0 is flat, 1 is in proportion, 2 is with the square. One
// iteration (-benchtime 1x) is enough.
//
// Two releases are compared by giving it the program of the other one, whose rows come
// first: each of its measurements is followed by the same one of this release.
//
//	git worktree add ../other v1.2.3
//	go -C ../other build -o versions-service ./cmd/versions-service
//	go test ./cmd/internal/acceptance -run '^$' -bench '^BenchmarkGrowth$' -benchtime 1x -timeout 60m \
//	  -growth.program "$PWD/../other/versions-service"
func BenchmarkGrowth(b *testing.B) {
	programs := []string{buildProgram(b)}
	if *growthProgram != "" {
		programs = append([]string{*growthProgram}, programs...)
	}
	for b.Loop() {
		for _, g := range growths() {
			if regexp.MustCompile(*growthOf).MatchString(g.of) {
				g.write(b, programs)
			}
		}
	}
}

// write measures one growth with each program, of which the last is this release's, and
// prints its rows.
func (g growth) write(b *testing.B, programs []string) {
	b.Helper()
	costs := make([][3][]cost, len(programs))
	for i, n := range g.sizes {
		for of, program := range programs {
			costs[of][i] = g.measure(b, program, n)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\n%s, at %s for each request to GitHub\t%d\t%d\t%d\t%.0f times\tpower\t\n",
		g.of, benchLatency, g.sizes[0], g.sizes[1], g.sizes[2], float64(g.sizes[2])/float64(g.sizes[0]))
	for row := range costs[0][0] {
		for of, measured := range costs {
			name := measured[0][row].name
			if of < len(programs)-1 {
				name += ", the other program"
			}
			least, middle, most := measured[0][row].value, measured[1][row].value, measured[2][row].value
			fmt.Fprintf(table, "%s\t%.4g\t%.4g\t%.4g\t%s\t\n", name, least, middle, most, g.slope(least, most))
		}
	}
	if err := table.Flush(); err != nil {
		b.Fatal(err)
	}
}

// slope is how many times the largest size costs what the smallest does, and the power of
// that growth. Where one of them costs nothing that can be measured there is none.
func (g growth) slope(least, most float64) string {
	if least <= 0 || most <= 0 {
		return "-\t-"
	}
	power := math.Log(most/least) / math.Log(float64(g.sizes[2])/float64(g.sizes[0]))
	return fmt.Sprintf("%.1f\t%.1f", most/least, power)
}
