package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

const (
	// questionAge is how long an answer of GitHub serves probes: each kubelet probes
	// every few seconds, and each question costs a request.
	questionAge = time.Minute
	// readinessTimeout bounds one question.
	readinessTimeout = 4 * time.Second
)

// readiness reports whether the store takes updates, and what GitHub last answered
// about the credential and the branches. A refusal of GitHub does not make the service
// unready, since the queue keeps what arrives. It is safe for concurrent use.
type readiness struct {
	client *github.Client
	store  func(context.Context) error
	log    *slog.Logger
	now    func() time.Time

	stopping    atomic.Bool
	storeFailed atomic.Bool

	mu    sync.Mutex // held while GitHub is asked, so that other probes wait for the answer
	asked time.Time
	turn  int // index of the next question
	repos []*repoReadiness
}

// repoReadiness is a repository with the branches that are written to.
type repoReadiness struct {
	repo     github.Repo
	branches []string // empty for the default branch
	// err is why the last question got no answer; nil after an answer, even a refusal.
	err           error
	defaultBranch string // as GitHub last reported it
}

func newReadiness(targets []update.Target, client *github.Client, store func(context.Context) error, log *slog.Logger) *readiness {
	r := &readiness{client: client, store: store, log: log, now: time.Now}
	r.replace(targets)
	return r
}

// replace takes in other targets. What is known of their repositories stays known.
func (r *readiness) replace(targets []update.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.repos
	r.repos = nil
	for _, t := range targets {
		at := slices.IndexFunc(r.repos, func(known *repoReadiness) bool { return known.repo.Equal(t.Repo) })
		if at < 0 {
			at = len(r.repos)
			r.repos = append(r.repos, &repoReadiness{repo: t.Repo})
			if old := slices.IndexFunc(before, func(known *repoReadiness) bool { return known.repo.Equal(t.Repo) }); old >= 0 {
				r.repos[at].err, r.repos[at].defaultBranch = before[old].err, before[old].defaultBranch
			}
		}
		if known := r.repos[at]; !slices.Contains(known.branches, t.Branch) {
			known.branches = append(known.branches, t.Branch)
		}
	}
}

// begin asks about the first repository and its first branch, so that the log and the
// metrics show a refusal from the start.
func (r *readiness) begin(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ask(ctx)
	r.ask(ctx)
}

// stop makes every later answer report that the service stops.
func (r *readiness) stop() { r.stopping.Store(true) }

// get asks the store, and at most once a minute GitHub one question; the rest of its
// answer is what earlier answers of GitHub reported.
func (r *readiness) get(ctx context.Context) api.Readiness {
	answer := api.Readiness{Status: api.ReadinessStatusReady, Store: r.storeReadiness(ctx), Github: r.github(ctx)}
	switch {
	case r.stopping.Load():
		answer.Status = api.ReadinessStatusStopping
	case answer.Store.State == api.StoreReadinessStateFailed:
		answer.Status = api.ReadinessStatusNotReady
	}
	return answer
}

// storeReadiness logs once when the store fails, and once when it is back.
func (r *readiness) storeReadiness(ctx context.Context) api.StoreReadiness {
	ctx, cancel := context.WithTimeout(ctx, readinessTimeout)
	defer cancel()
	err := r.store(ctx)
	failed := err != nil
	if r.storeFailed.Swap(failed) != failed {
		if failed {
			r.log.WarnContext(ctx, "the store cannot take updates", "error", err.Error())
		} else {
			r.log.InfoContext(ctx, "the store takes updates again")
		}
	}
	if failed {
		why := "the database cannot be used; the log has more"
		return api.StoreReadiness{State: api.StoreReadinessStateFailed, Detail: &why}
	}
	return api.StoreReadiness{State: api.StoreReadinessStateOk}
}

// github returns what is known of each repository.
func (r *readiness) github(ctx context.Context) []api.GitHubReadiness {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopping.Load() && (r.asked.IsZero() || r.now().Sub(r.asked) >= questionAge) {
		r.ask(ctx)
	}
	answer := []api.GitHubReadiness{}
	for _, known := range r.repos {
		target := api.GitHubReadiness{Repository: known.repo.String(), Branches: r.branches(known)}
		target.State, target.Detail = r.repository(known)
		if limit := r.client.RateLimit(known.repo); limit.Limit > 0 {
			target.RateLimit = &api.RateLimit{Limit: limit.Limit, Remaining: limit.Remaining, Reset: limit.Reset.UTC()}
		}
		answer = append(answer, target)
	}
	return answer
}

// ask asks the next question, about a repository or one of its branches. It outlives
// the probe that caused it, since every probe uses the answer.
func (r *readiness) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readinessTimeout)
	defer cancel()
	known, branch := r.question()
	if branch < 0 {
		var status github.Status
		status, known.err = r.client.Check(ctx, known.repo)
		r.noteDefaultBranch(ctx, known, status.DefaultBranch)
	} else {
		known.err = r.client.Branch(known.repo, known.branches[branch]).Check(ctx)
	}
	r.asked = r.now()
}

// question returns the next question: each repository has one about itself, and one
// about each of its branches.
func (r *readiness) question() (known *repoReadiness, branch int) {
	at := r.turn
	for _, known := range r.repos {
		if at <= len(known.branches) {
			r.turn++
			return known, at - 1
		}
		at -= len(known.branches) + 1
	}
	r.turn = 1
	return r.repos[0], -1
}

// noteDefaultBranch logs the name of a default branch that is written to, whenever it
// changes.
func (r *readiness) noteDefaultBranch(ctx context.Context, known *repoReadiness, name string) {
	if name == "" || name == known.defaultBranch || !slices.Contains(known.branches, "") {
		return
	}
	known.defaultBranch = name
	r.log.InfoContext(ctx, "default branch", "repository", known.repo.String(), "branch", name)
}

func (r *readiness) repository(known *repoReadiness) (api.GitHubReadinessState, *string) {
	credential := r.client.CredentialState(known.repo)
	var limited *github.RateLimitError
	var answered *github.Error
	switch {
	case credential.Err != nil:
		return api.GitHubReadinessStateRefused, detailOf(credential.Err)
	case errors.As(known.err, &limited):
		why := limited.Error()
		return api.GitHubReadinessStateLimited, &why
	case errors.As(known.err, &answered) && errors.Is(answered, github.ErrUpstream):
		return api.GitHubReadinessStateUnreachable, detailOf(answered)
	case known.err != nil && answered == nil:
		why := "GitHub did not answer in time"
		return api.GitHubReadinessStateUnreachable, &why
	case credential.Known:
		return api.GitHubReadinessStateOk, nil
	}
	return api.GitHubReadinessStateUnknown, nil
}

func (r *readiness) branches(known *repoReadiness) []api.BranchReadiness {
	answer := []api.BranchReadiness{}
	for _, name := range known.branches {
		branch := api.BranchReadiness{Branch: name, State: api.BranchReadinessStateUnknown}
		switch state := r.client.Branch(known.repo, name).State(); {
		case errors.Is(state.Err, github.ErrBranchNotFound):
			branch.State, branch.Detail = api.BranchReadinessStateNotFound, detailOf(state.Err)
		case state.Err != nil:
			branch.State, branch.Detail = api.BranchReadinessStateProtected, detailOf(state.Err)
		case state.Known:
			branch.State = api.BranchReadinessStateOk
		}
		answer = append(answer, branch)
	}
	return answer
}

// detailOf returns the error's sentence for people, or else the kind of the error.
func detailOf(err error) *string {
	why := err.Error()
	var known *github.Error
	if errors.As(err, &known) {
		if why = known.Detail; why == "" {
			why = known.Kind.Error()
		}
	}
	return &why
}
