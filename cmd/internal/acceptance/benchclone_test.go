package acceptance_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// cloneVariable holds a cloneJob for a process of this test binary that does
// nothing but that.
const cloneVariable = "VERSIONS_SERVICE_BENCH_CLONE"

// cloneJob is one change by way of git.
type cloneJob struct {
	URL, Dir             string
	Clone                []string // options of git clone
	Narrow               string   // the folder to check out, or empty for all
	File, Image, Version string
}

// cloneReport is what it came to.
type cloneReport struct {
	Wall, CPU time.Duration
	Peak      int64 // bytes, of the largest of the processes
}

// runJob does a job that the environment holds for this process, and returns its
// exit code.
func runJob(order string) int {
	if err := runClone([]byte(order)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runClone(order []byte) error {
	var job cloneJob
	if err := json.Unmarshal(order, &job); err != nil {
		return err
	}
	var spent cloneReport
	start := time.Now()
	err := job.run(func(args ...string) error {
		cmd := exec.Command("git", args...)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("git %q: %w", args, err)
		}
		spent.CPU += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		spent.Peak = max(spent.Peak, peakMemory(cmd.ProcessState))
		return nil
	})
	if err != nil {
		return err
	}
	spent.Wall = time.Since(start)
	if err := os.RemoveAll(job.Dir); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(spent)
}

func (j cloneJob) run(git func(args ...string) error) error {
	clone := append([]string{"clone", "-q"}, j.Clone...)
	if err := git(append(clone, j.URL, j.Dir)...); err != nil {
		return err
	}
	if j.Narrow != "" {
		if err := git("-C", j.Dir, "sparse-checkout", "set", j.Narrow); err != nil {
			return err
		}
	}
	path := filepath.Join(j.Dir, j.File)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, setVersion(content, j.Image, j.Version), 0o600); err != nil {
		return err
	}
	if err := git("-C", j.Dir, "commit", "-qam", "Set the version to "+j.Version); err != nil {
		return err
	}
	return git("-C", j.Dir, "push", "-q", "origin", "HEAD:main")
}
