package acceptance_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// What one update costs at GitHub, as the embedded one counts it, from a POST to
// the program. The branch is named, so that nothing is looked up at the start.

// sampleBlobs are the different contents of the sample's YAML files.
const sampleBlobs = 3

// onMain names the branch in the environment.
var onMain = withEnv("GITHUB_BRANCH", "main")

// setTo is the body of an update.
func setTo(image, version string) string {
	return fmt.Sprintf(`{"image": %q, "version": %q}`, image, version)
}

// manyFiles are n YAML files in 20 folders, each with an image of its own.
func manyFiles(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("teams/%02d/app-%05d.yaml", i%20, i)] = deployment(fmt.Sprintf("octo-org/app-%05d:1", i))
	}
	return files
}

// largeRepository is a number of files. The race detector, which runs -short, is given
// fewer: it would take minutes on a busy machine.
func largeRepository() int {
	if testing.Short() {
		return 300
	}
	return 3000
}

// wantCommitted fails unless the update made a commit.
func wantCommitted(t *testing.T, r reply) {
	t.Helper()
	if r.status != http.StatusCreated {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
}

func TestCostCold(t *testing.T) {
	t.Parallel()
	few := []string{callHead, callTree, callNewTree, callNewCommit, callUpdateRef}
	for _, tt := range []struct {
		name  string
		files int
		want  []string
	}{
		{"three blobs", 0, append(slices.Repeat([]string{callBlob}, sampleBlobs), few...)},
		{"one file more", 1, append([]string{callTarball}, few...)},
		{"a large repository", largeRepository(), append([]string{callTarball}, few...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, onMain, withFiles(manyFiles(tt.files)))
			wantCommitted(t, w.post(mission))
			w.wantSpent(0, tt.want...)
			for _, d := range w.hub.Downloads() {
				if d.Authorization {
					t.Error("the credential travelled to the archive's host")
				}
			}
		})
	}
}

// The name of the default branch is looked up once, and not for each update.
func TestCostOfTheDefaultBranch(t *testing.T) {
	t.Parallel()
	w := start(t)
	wantCommitted(t, w.post(mission))
	wantCommitted(t, w.post(setTo(node, "second")))
	got := w.spentSince(0)
	if got[0] != callRepository || count(got, callRepository) != 1 {
		t.Errorf("requests: %q, want one look-up, the first", got)
	}
}

func TestCostWarm(t *testing.T) {
	t.Parallel()
	head := func(name string) []string { return append(writes(), name) }
	for _, tt := range []struct {
		name string
		warm func(*world)
		want []string
	}{
		{"own write", func(w *world) { wantCommitted(w.t, w.post(mission)) }, writes()},
		{"own writes", func(w *world) {
			for i := range 3 {
				wantCommitted(w.t, w.post(setTo(worker, fmt.Sprint("v", i))))
			}
		}, writes()},
		{"head read by a dry run", func(w *world) {
			w.post(`{"image": "` + node + `", "version": "1", "dry_run": true}`)
		}, head(callHeadStands)},
		{"head read after an own write", func(w *world) {
			wantCommitted(w.t, w.post(mission))
			w.post(mission)
		}, writes()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, onMain, withFiles(manyFiles(100)))
			tt.warm(w)
			mark := w.mark()
			wantCommitted(t, w.post(setTo(node, "warm")))
			w.wantSpent(mark, tt.want...)
		})
	}
}

// The head is asked for beside the first write: an update is three round trips
// long, whatever it knows.
func TestWarmIsThreeRoundTripsLong(t *testing.T) {
	t.Parallel()
	w := start(t, onMain)
	w.post(`{"image": "` + node + `", "version": "1", "dry_run": true}`)
	rendezvous := make(chan struct{})
	meet := sandbox.Call(func() {
		select {
		case rendezvous <- struct{}{}:
		case <-rendezvous:
		case <-time.After(patience):
			t.Error("one of the two requests waits for the other")
		}
	})
	w.hub.Inject(meet.On(http.MethodGet, "branches").Once())
	w.hub.Inject(meet.On(http.MethodPost, "git/trees").Once())
	wantCommitted(t, w.post(mission))
}

// k changed files cost k blobs, or one archive, and not the reading of what did not
// change. A push right after an own write, whose head is taken as known, is a lost race:
// the tree, the commit and the ref update that were in vain come on top, less the look
// beside the first write.
func TestCostAfterForeignPush(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("how slow GitHub answers decides what is cheaper, and with the race detector all is slow")
	}
	for _, tt := range []struct {
		name  string
		k     int
		path  string // of the i-th pushed file
		image string // that the pushed files name
	}{
		{"one file", 1, "teams/03/pushed-%d.yaml", "octo-org/pushed"},
		{"one file that names the image", 1, "teams/03/pushed-%d.yaml", worker},
		{"seven files in one folder", 7, "teams/03/pushed-%d.yaml", "octo-org/pushed"},
		{"seven files in seven folders", 7, "teams/0%d/pushed.yaml", worker},
		{"files of no interest", 0, "", ""},
	} {
		for _, raced := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/raced %v", tt.name, raced), func(t *testing.T) {
				t.Parallel()
				w := start(t, onMain, withFiles(manyFiles(300)))
				w.post(`{"image": "` + node + `", "version": "1", "dry_run": true}`)
				limit := 4 + 2 + tt.k
				if raced {
					wantCommitted(t, w.post(mission))
					limit += 2
				}
				push := map[string]string{"notes/today.md": "nothing\n"}
				for i := range tt.k {
					push[fmt.Sprintf(tt.path, i)] = deployment(fmt.Sprintf("%s:0.%d", tt.image, i))
				}
				w.push(push)
				mark := w.mark()
				wantCommitted(t, w.post(setTo(worker, "after")))
				got := w.spentSince(mark)
				if len(got) > limit {
					t.Errorf("%d requests, want at most %d: %v", len(got), limit, got)
				}
				blobs, archives := tt.k, 0
				if tt.k >= 4 {
					blobs, archives = 0, 1
				}
				if count(got, callBlob) != blobs || count(got, callTarball) != archives {
					t.Errorf("%v, want %d blobs and %d archives", got, blobs, archives)
				}
				for i := range tt.k {
					path := fmt.Sprintf(tt.path, i)
					if updated := w.file(path) == deployment(tt.image+":after"); updated != (tt.image == worker) {
						t.Errorf("%s was updated: %v", path, updated)
					}
				}
			})
		}
	}
}

func count(names []string, name string) int {
	n := 0
	for _, each := range names {
		if each == name {
			n++
		}
	}
	return n
}

func TestCostOfTheSameAgain(t *testing.T) {
	t.Parallel()
	w := start(t, onMain, withFiles(manyFiles(50)))
	wantCommitted(t, w.post(mission))
	for range 3 {
		mark := w.mark()
		if r := w.post(mission); r.status != http.StatusOK {
			t.Fatalf("status %d: %s", r.status, r.body)
		}
		if got := w.spentSince(mark); len(got) != 1 || got[0] != callHead && got[0] != callHeadStands {
			t.Errorf("requests %v, want one read of the head", got)
		}
	}
}

// Requests that wait for one branch share three writes: 60 of them, with a file
// each, while the one before them is held up.
func TestCostOfManyWaiting(t *testing.T) {
	t.Parallel()
	const clients = 60
	w := start(t, onMain, withFiles(manyFiles(clients)))
	wantCommitted(t, w.post(mission))
	reached, release := make(chan struct{}), make(chan struct{})
	w.hub.Inject(sandbox.Call(func() { close(reached); <-release }).On("PATCH", "git/refs").Once())
	mark := w.mark()
	held := make(chan reply, 1)
	go func() { r, _ := w.tryPost(setTo(worker, "held")); held <- r }()
	<-reached

	replies := make([]reply, clients)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { replies[i], _ = w.tryPost(setTo(fmt.Sprintf("octo-org/app-%05d", i), "2")) })
	}
	w.waitFor(clients)
	close(release)
	all.Wait()
	<-held

	w.wantSpent(mark, append(writes(), writes()...)...)
	shared := replies[0].update
	for i, r := range replies {
		wantCommitted(t, r)
		got := r.update.Targets[0]
		if got.Commit.Sha != shared.Targets[0].Commit.Sha {
			t.Errorf("client %d has the commit %s, the first %s", i, got.Commit.Sha, shared.Targets[0].Commit.Sha)
		}
		want := []string{fmt.Sprintf("teams/%02d/app-%05d.yaml", i%20, i)}
		var files []string
		for _, f := range got.Files {
			files = append(files, f.Path)
		}
		if diff := cmp.Diff(want, files); diff != "" {
			t.Errorf("files of client %d (-want +got):\n%s", i, diff)
		}
	}
}
