package acceptance_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue/queuetest"
)

const (
	// testsPerProcessor run at a time. With the race detector, which runs -short, they
	// work more than they wait.
	testsPerProcessor      = 3
	testsPerProcessorShort = 2
	// programVariable makes a process of this test binary the program itself.
	programVariable = "VERSIONS_SERVICE_TEST_PROGRAM"
	// unpaced, as its value, leaves the pace out by which GitHub's limits are kept.
	unpaced = "unpaced"
	// databaseVariable is the URL of a PostgreSQL server for tests.
	databaseVariable = "TEST_DATABASE_URL"
	leftOut          = "cmd/internal/acceptance: everything on PostgreSQL is left out; to run it: .ci/postgres go test ./cmd/internal/acceptance"
)

// TestMain lets tests have the program, and benchmarks their jobs, in processes of
// their own.
func TestMain(m *testing.M) {
	switch order := os.Getenv(cloneVariable); {
	case os.Getenv(programVariable) == unpaced:
		os.Exit(runUnpaced())
	case os.Getenv(programVariable) != "":
		os.Exit(service.Build{Version: "test"}.Main(context.Background(), nil, service.ParseEnvironment(os.Environ()), os.Stdout, os.Stderr))
	case os.Getenv(forgetfulVariable) != "":
		os.Exit(runForgetful())
	case order != "":
		os.Exit(runJob(order))
	}
	if os.Getenv(databaseVariable) == "" {
		fmt.Fprintln(os.Stderr, leftOut)
	}
	if err := runMoreAtATime(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// runUnpaced serves until it is killed.
func runUnpaced() int {
	settings, err := service.ReadEnvironment(service.ParseEnvironment(os.Environ()))
	if err == nil {
		settings.Trial = true
		var s *service.Service
		if s, err = service.New(settings, service.Build{Version: "test"}, os.Stderr); err == nil {
			err = s.Run(context.Background())
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// runMoreAtATime lets more tests run side by side than there are processors, unless
// -parallel says how many: most of them wait most of their time.
func runMoreAtATime() error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	atATime := testsPerProcessor * runtime.GOMAXPROCS(0)
	if testing.Short() {
		atATime = testsPerProcessorShort * runtime.GOMAXPROCS(0)
	}
	return flag.Set("test.parallel", strconv.Itoa(atATime))
}

// postgresURL is a schema of its own on the server for tests, which goes with the
// test.
func postgresURL(t testing.TB) string {
	t.Helper()
	base := os.Getenv(databaseVariable)
	if base == "" {
		t.Skip(leftOut)
	}
	return queuetest.Schema(t, base)
}

// process is the program as a process of its own.
type process struct {
	*world // reaches this process
	cmd    *exec.Cmd
	ended  chan struct{} // closed at its end
	err    error         // why it ended
}

// spawn starts the program and returns when it listens. It ends with the test.
func (w *world) spawn() *process {
	w.t.Helper()
	self, err := os.Executable()
	w.must(err)
	own := *w
	own.logs = &logBook{}
	p := &process{world: &own, cmd: exec.Command(self), ended: make(chan struct{})}
	p.cmd.Env = []string{programVariable + "=yes"}
	if w.trial {
		p.cmd.Env = []string{programVariable + "=" + unpaced}
	}
	for name, value := range w.env {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	pipe, err := p.cmd.StderrPipe()
	w.must(err)
	w.must(p.cmd.Start())
	address := make(chan string, 1)
	go func() {
		defer close(p.ended)
		for lines := bufio.NewReader(pipe); ; {
			line, err := lines.ReadString('\n')
			_, _ = p.logs.Write([]byte(line))
			var fields struct{ Msg, Addr string }
			if json.Unmarshal([]byte(line), &fields) == nil && fields.Msg == "listening" {
				address <- fields.Addr
			}
			if err != nil {
				break
			}
		}
		p.err = p.cmd.Wait()
	}()
	w.t.Cleanup(p.kill)
	select {
	case addr := <-address:
		p.url = "http://" + addr
	case <-p.ended:
		w.t.Fatalf("the program ended at its start: %v\n%s", p.err, p.logs)
	}
	return p
}

// kill is what the kernel does when memory is short: no notice, no clean-up.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
	p.checkLogs()
}

// terminate stops the program as Kubernetes does, and fails unless it ends in time
// and with exit code 0.
func (p *process) terminate(within time.Duration) {
	p.t.Helper()
	p.must(p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(within):
		p.t.Errorf("the program did not end within %s of SIGTERM", within)
		p.kill()
		return
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		p.t.Errorf("the program ended with %v\n%s", p.err, p.logs)
	}
	p.checkLogs()
}

// checkLogs fails when the program had a panic or, if it was built to find them,
// a data race.
func (p *process) checkLogs() {
	p.t.Helper()
	for _, bad := range []string{"DATA RACE", "panic"} {
		if log := p.logs.String(); strings.Contains(log, bad) {
			p.t.Errorf("%s in the log:\n%s", bad, log)
		}
	}
}
