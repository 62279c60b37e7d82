package acceptance_test

import (
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// memoryTargets is 300 in a step of .ci/run.
var memoryTargets = flag.Int("memory.targets", 8, "targets of TestMemoryOfManyTargets")

const (
	memoryFiles = 1_001 // of each target
	// podLimit is what Go's memory is held to in a pod of 512 MiB, in bytes.
	podLimit = 512 << 20 * 8 / 10
	// mostMemory is what the process may hold, in bytes.
	mostMemory = 384 << 20
	// fewTargets is up to how many targets the memory for what is remembered is made small,
	// so that there is too little of it.
	fewTargets = 50
	smallCache = 2 << 20
)

// An update that reads many targets is held to the memory that there is, however much
// there is to remember.
func TestMemoryOfManyTargets(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("its size is all there is to it")
	}
	options := []option{
		withEnv("GITHUB_REPOSITORY", ""), withEnv("UPDATE_TIMEOUT", "10m"), withEnv("DATA_DIR", t.TempDir()),
		withEnv("GOMEMLIMIT", strconv.Itoa(podLimit)),
	}
	if *memoryTargets <= fewTargets {
		options = append(options, withEnv("CACHE_BYTES", strconv.Itoa(smallCache)))
	}
	var targets strings.Builder
	targets.WriteString("targets:\n")
	for i := range *memoryTargets {
		files := map[string]string{}
		for path, content := range manyFiles(memoryFiles) {
			files[path] = content + fmt.Sprintf("# of target %d\n", i)
		}
		files["one.yaml"] = deployment(fmt.Sprintf("octo-org/of-%d:1", i))
		name := fmt.Sprintf("octo-org/infra-%d", i)
		options = append(options, withRepository(name, files))
		fmt.Fprintf(&targets, "  - {repository: %s, branch: main}\n", name)
	}
	w := prepare(t, append(options, withConfig(targets.String()))...)
	p := w.spawn()
	for i := range 3 {
		wantCommitted(t, p.post(setTo(fmt.Sprintf("octo-org/of-%d", i), "2")))
	}
	metrics := p.get("/metrics").body
	limit, used := metricSum(t, metrics, "versions_service_cache_limit_bytes"), metricSum(t, metrics, "versions_service_cache_bytes")
	if used > limit || used < limit/2 {
		t.Errorf("%d bytes are remembered, with memory for %d", used, limit)
	}
	if metricSum(t, metrics, "versions_service_cache_evicted_total") == 0 {
		t.Error("nothing was forgotten")
	}
	if peak := peakOf(p.cmd.Process.Pid); peak > mostMemory {
		t.Errorf("%d targets take %d MB of memory", *memoryTargets, peak>>20)
	} else {
		t.Logf("%d targets take %d MB of memory, %d of them for what is remembered", *memoryTargets, peak>>20, used>>20)
	}
}

// metricSum is the sum of a metric over its labels.
func metricSum(t *testing.T, metrics, name string) (sum int64) {
	t.Helper()
	found := regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(metrics, -1)
	if found == nil {
		t.Fatalf("there is no metric %s", name)
	}
	for _, m := range found {
		value, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += int64(value)
	}
	return sum
}
