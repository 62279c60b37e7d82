package github_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// direct calls a handler without a network, so that a test may run on the clock
// of a synctest bubble. While silent says so, an answer never comes: lost tells
// whether the request arrived all the same.
type direct struct {
	handler http.Handler
	silent  func(*http.Request) (silent, arrives bool)
}

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	silent, arrives := d.silent(req)
	if silent && !arrives {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	inside := req.Clone(context.WithoutCancel(req.Context()))
	if inside.Body == nil {
		inside.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	d.handler.ServeHTTP(answer, inside)
	if silent {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	resp := answer.Result()
	resp.Request = req
	return resp, nil
}

func TestSilence(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		silent  func(n int, req *http.Request) (silent, arrives bool) // n counts the silences
		timeout time.Duration
		took    time.Duration
		landed  bool
		want    func(error) bool
	}{
		{
			name:   "a read without an answer is asked again",
			silent: func(n int, req *http.Request) (bool, bool) { return n == 0 && req.Method == http.MethodGet, false },
			took:   30 * time.Second, landed: true,
		},
		{
			name:    "the caller's deadline counts",
			silent:  func(_ int, req *http.Request) (bool, bool) { return req.Method == http.MethodPost, false },
			timeout: 12 * time.Second, took: 12 * time.Second,
			want: func(err error) bool {
				return errors.Is(err, context.DeadlineExceeded) && errors.Is(err, github.ErrUpstream)
			},
		},
		{
			name:   "GitHub that never answers is no deadline of the caller's",
			silent: func(int, *http.Request) (bool, bool) { return true, false },
			took:   2 * time.Minute,
			want: func(err error) bool {
				return !errors.Is(err, context.DeadlineExceeded) && errors.Is(err, github.ErrUpstream) && strings.Contains(err.Error(), "no answer in time")
			},
		},
		{
			name:   "a ref update that was lost is sent again",
			silent: func(n int, req *http.Request) (bool, bool) { return n == 0 && req.Method == http.MethodPatch, false },
			took:   10 * time.Second, landed: true,
		},
		{
			name:    "a ref update whose answer was lost is found on the branch, beyond the caller's deadline",
			silent:  func(n int, req *http.Request) (bool, bool) { return n == 0 && req.Method == http.MethodPatch, true },
			timeout: 5 * time.Second, took: 10 * time.Second, landed: true,
		},
		{
			name: "what became of it is never told",
			silent: func(n int, req *http.Request) (bool, bool) {
				return n > 0 || req.Method == http.MethodPatch, true
			},
			took: 40 * time.Second, landed: true,
			want: func(err error) bool {
				var unknown *github.UnknownOutcomeError
				return errors.As(err, &unknown) && errors.Is(err, github.ErrUpstream)
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				sb, err := sandbox.New(sandbox.Options{Dir: dir})
				check(t, err)
				repo, err := sb.CreateRepository(repoName, sandbox.RepositoryOptions{})
				check(t, err)
				_, err = repo.Commit("main", sandbox.Files{"apps/team-0/app-0000.yaml": {Content: []byte("image: a:1\n")}}, "m")
				check(t, err)
				silences := 0
				client, err := github.NewClient(github.Options{
					BaseURL: "http://github.example.com/", Credential: github.Token("sandbox"),
					Transport: direct{sb, func(req *http.Request) (bool, bool) {
						silent, arrives := test.silent(silences, req)
						if silent {
							silences++
						}
						return silent, arrives
					}},
				})
				check(t, err)
				ctx, start := t.Context(), time.Now()
				if test.timeout != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.timeout)
					defer cancel()
				}
				err = update(ctx, client.Branch(parse(t, repoName), "main"))
				if took := time.Since(start); took < test.took || took > test.took+3*time.Second {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				if test.want == nil {
					check(t, err)
				} else if !test.want(err) {
					t.Errorf("error %v", err)
				}
				content, err := repo.ReadFile("main", "apps/team-0/app-0000.yaml")
				check(t, err)
				if landed := string(content) != "image: a:1\n"; landed != test.landed {
					t.Errorf("landed: %v", landed)
				}
				check(t, sb.Close())
			})
		})
	}
}

// The time to follow a ref update begins when it is sent, not while a limit is
// waited for.
func TestRefUpdateAfterALongLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		limits  int  // in a row, of 45 s each
		lost    bool // is the answer of the update after them
		timeout time.Duration
		took    time.Duration
		limited bool
	}{
		{"then it lands", 1, false, time.Minute, 45 * time.Second, false},
		{"then its answer is lost", 1, true, time.Minute, 55 * time.Second, false},
		{"twice", 2, true, 2 * time.Minute, 100 * time.Second, false},
		{"beyond the caller's deadline", 2, false, time.Minute, 45 * time.Second, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				sb, err := sandbox.New(sandbox.Options{Dir: dir})
				check(t, err)
				repo, err := sb.CreateRepository(repoName, sandbox.RepositoryOptions{})
				check(t, err)
				before, err := repo.Commit("main", sandbox.Files{fileA: {Content: []byte("image: a:1\n")}}, "m")
				check(t, err)
				sb.Inject(sandbox.SecondaryLimit(http.StatusTooManyRequests, 45*time.Second).On(http.MethodPatch, "").For(test.limits))
				updates := 0
				client, err := github.NewClient(github.Options{
					BaseURL: "http://github.example.com/", Credential: github.Token("sandbox"),
					Transport: direct{sb, func(req *http.Request) (silent, arrives bool) {
						if req.Context().Err() != nil { // as on a network
							return true, false
						}
						if req.Method == http.MethodPatch {
							updates++
						}
						return test.lost && updates == test.limits+1 && req.Method == http.MethodPatch, true
					}},
				})
				check(t, err)
				ctx, cancel := context.WithTimeout(t.Context(), test.timeout)
				defer cancel()
				b := client.Branch(parse(t, repoName), "main")
				s, err := b.Snapshot(ctx)
				check(t, err)
				start := time.Now()
				made, err := b.Commit(ctx, s, set(s, fileA, "image: a:2\n"))
				if took := time.Since(start); took < test.took || took > test.took+time.Second {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				want := string(made.SHA)
				if test.limited {
					want = before
					var limit *github.RateLimitError
					var unknown *github.UnknownOutcomeError
					if !errors.As(err, &limit) || errors.As(err, &unknown) {
						t.Errorf("error %v, want a limit's", err)
					}
				} else {
					check(t, err)
				}
				head, err := repo.Head("main")
				check(t, err)
				if head != want {
					t.Errorf("the branch is at %s, want %s", head, want)
				}
				check(t, sb.Close())
			})
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// trickle is a body that waits before each read, and stands still after some.
type trickle struct {
	io.ReadCloser
	ctx   context.Context // of the request that the body answers
	wait  time.Duration
	reads int
}

func (b *trickle) Read(p []byte) (int, error) {
	var tick <-chan time.Time
	if b.reads--; b.reads >= 0 {
		tick = time.After(b.wait)
	}
	select {
	case <-tick:
		return b.ReadCloser.Read(p[:min(len(p), 200)])
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

// An archive may come slowly, but not stand still.
func TestSlowArchive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		wait  time.Duration
		reads int
		blobs bool
	}{{"slow", 15 * time.Second, 1000, false}, {"standing still", 0, 0, true}, {"standing still after a while", time.Second, 2, true}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				sb, err := sandbox.New(sandbox.Options{Dir: dir})
				check(t, err)
				repo, err := sb.CreateRepository(repoName, sandbox.RepositoryOptions{})
				check(t, err)
				files := sandbox.Files{}
				for path, content := range many(60) {
					files[path] = sandbox.File{Content: []byte(content)}
				}
				_, err = repo.Commit("main", files, "m")
				check(t, err)
				slow := rewrite{direct{sb, func(*http.Request) (bool, bool) { return false, false }}, func(req *http.Request, resp *http.Response) {
					if strings.Contains(req.URL.Path, "legacy.tar.gz") {
						resp.Body = &trickle{resp.Body, req.Context(), test.wait, test.reads}
					}
				}}
				client, err := github.NewClient(github.Options{BaseURL: "http://github.example.com/", Credential: github.Token("sandbox"), Transport: slow})
				check(t, err)
				b := client.Branch(parse(t, repoName), "main")
				s, err := b.Snapshot(t.Context())
				check(t, err)
				got, err := readYAML(t.Context(), b, s)
				check(t, err)
				if diff := cmp.Diff(many(60), got); diff != "" {
					t.Errorf("contents (-want +got)\n%s", diff)
				}
				if blobs := sb.Counts()["GET /repos/{owner}/{repo}/git/blobs/{file_sha}"]; test.blobs != (blobs > 0) {
					t.Errorf("%d files came as blobs", blobs)
				}
				check(t, sb.Close())
			})
		})
	}
}
