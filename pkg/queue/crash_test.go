package queue_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

const (
	roleVariable   = "QUEUE_TEST_ROLE"   // what a process started by a test does
	storeVariable  = "QUEUE_TEST_STORE"  // on which store
	folderVariable = "QUEUE_TEST_FOLDER" // where it leaves its notes
)

// play is a process that a test starts, to end it without notice: it accepts
// updates until its standard input ends, and applies them all the time.
func play(role string) int {
	notes := os.Getenv(folderVariable)
	switch role {
	case poisoned:
		return workUntilAllEnded(notes)
	case holding:
		return holdUntilKilled(notes)
	}
	o := queue.Options{URL: os.Getenv(storeVariable)}
	queue.HurryRescue(&o)
	q, err := queue.Open(context.Background(), o)
	if err == nil {
		err = q.Start(context.Background(), noting(notes))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ready") //nolint:forbidigo // for the test that started it
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	var all sync.WaitGroup
	for caller := range 8 {
		all.Go(func() { acceptUntil(q, stop, filepath.Join(notes, "accepted"), fmt.Sprintf("%s-%d", role, caller)) })
	}
	all.Wait()
	<-stop
	if err := q.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// acceptUntil notes each update after it was accepted.
func acceptUntil(q *queue.Queue, stop <-chan struct{}, notes, caller string) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		u := update(fmt.Sprintf("%s-%d", caller, n), "1", to(fmt.Sprint("b", n%12)))
		if _, err := q.Accept(context.Background(), []queue.Update{u}, nil); err == nil {
			note(notes, u.ID)
		}
	}
}

// note adds a line to a file, in one write.
func note(path, line string) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.WriteString(line + "\n"); err != nil {
		panic(err)
	}
}

// noting is an Apply that notes what it did, and whether another process is at
// the same branch.
func noting(notes string) queue.Apply {
	return func(ctx context.Context, b queue.Batch) []queue.Outcome {
		mark := filepath.Join(notes, strings.ReplaceAll(b.Branch, "/", "_")+".mark")
		if pid, err := os.ReadFile(mark); err == nil {
			if alive(string(pid)) {
				note(filepath.Join(notes, "overlaps"), b.Branch+"/"+string(pid))
			}
		}
		setMark(mark)
		var outcomes []queue.Outcome
		for _, i := range b.Items {
			note(filepath.Join(notes, "applied"), i.Update.ID)
			outcomes = append(outcomes, queue.Outcome{Status: queue.Committed})
		}
		select { // a commit takes its time; most kills fall into it
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
		if err := os.Remove(mark); err != nil {
			panic(err)
		}
		return outcomes
	}
}

// setMark writes the number of this process to a file that is there whole or not
// at all, whenever the process is killed.
func setMark(path string) {
	draft := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(draft, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(draft, path); err != nil {
		panic(err)
	}
}

func alive(pid string) bool {
	n, err := strconv.Atoi(pid)
	if err != nil {
		panic(err)
	}
	p, err := os.FindProcess(n)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}

// process is one that plays a role.
type process struct {
	command *exec.Cmd
	input   io.Closer
}

func launch(t *testing.T, role, storeURL, notes string) process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self)
	command.Env = append(os.Environ(), roleVariable+"="+role, storeVariable+"="+storeURL, folderVariable+"="+notes)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	p := process{command: command, input: input}
	t.Cleanup(p.kill)
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%s did not start: %q, %v", role, line, err)
	}
	return p
}

// kill ends it without notice.
func (p process) kill() {
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// lines are the notes in a file.
func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// accepted waits for a number of accepted updates.
func accepted(t *testing.T, notes string, atLeast int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d updates are accepted", atLeast), func() bool {
		return len(lines(t, filepath.Join(notes, "accepted"))) >= atLeast
	})
}

// settled checks that what was accepted is done, and tells the figures.
func settled(t *testing.T, w *world, notes string, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ids := lines(t, filepath.Join(notes, "accepted"))
	applied := map[string]int{}
	for _, id := range ids {
		u, err := w.Wait(ctx, id)
		if err != nil || u.Status != queue.Committed {
			t.Fatalf("update %s was accepted, and is %q: %v", id, u.Status, err)
		}
	}
	for _, id := range lines(t, filepath.Join(notes, "applied")) {
		applied[id]++
	}
	twice := 0
	for _, id := range ids {
		switch {
		case applied[id] == 0:
			t.Errorf("update %s is said to be done, and was not applied", id)
		case applied[id] > 1:
			twice++
		}
	}
	if overlaps := lines(t, filepath.Join(notes, "overlaps")); len(overlaps) > 0 {
		t.Errorf("branches were worked on twice at once: %v", overlaps)
	}
	t.Logf("%d accepted, all done, %d applied more than once", len(ids), twice)
}

func TestKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	storeURL, notes := sqliteURL(t), t.TempDir()
	for round := range 4 {
		p := launch(t, fmt.Sprint("round", round), storeURL, notes)
		accepted(t, notes, len(lines(t, filepath.Join(notes, "accepted")))+100)
		p.kill()
	}
	w := open(t, storeURL, func(o *queue.Options) { o.Now = time.Now })
	w.apply = noting(notes)
	w.begin()
	settled(t, w, notes, 30*time.Second) // the time in which work goes on after a restart
}

// Of two replicas one is killed; the other one takes its work over.
func TestReplicaKilled(t *testing.T) {
	t.Parallel()
	storeURL, notes := postgresURL(t), t.TempDir()
	one, two := launch(t, "one", storeURL, notes), launch(t, "two", storeURL, notes)
	accepted(t, notes, 300)
	one.kill()
	accepted(t, notes, len(lines(t, filepath.Join(notes, "accepted")))+200)
	if err := two.input.Close(); err != nil { // it accepts no more, and ends
		t.Fatal(err)
	}
	if err := two.command.Wait(); err != nil {
		t.Fatalf("the second replica: %v", err)
	}
	w := open(t, storeURL, func(o *queue.Options) {
		queue.HurryRescue(o)
		o.Now = time.Now
	})
	w.apply = noting(notes)
	w.begin()
	settled(t, w, notes, 2*time.Minute)
}
