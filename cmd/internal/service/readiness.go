package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

const (
	// readinessAge is how long an answer of GitHub serves probes: they come every
	// few seconds from each kubelet, and each question costs a request.
	readinessAge = time.Minute
	// readinessTimeout bounds one question; probes do not wait longer.
	readinessTimeout = 4 * time.Second
)

// readiness tells whether the store answers, and whether GitHub takes the
// credential for the targets' repositories. It is safe for concurrent use.
type readiness struct {
	check func(context.Context, github.Repo) (github.Status, error)
	limit func() github.RateLimit
	store func(context.Context) error
	log   *slog.Logger
	now   func() time.Time

	mu    sync.Mutex // held while GitHub is asked: the others wait for the answer
	asked time.Time
	turn  int // of the repository that is asked about next
	repos []repoReadiness
}

// repoReadiness is what GitHub last said about a repository.
type repoReadiness struct {
	repo  github.Repo
	state api.GitHubReadinessState
	why   string
}

func newReadiness(targets []update.Target, client *github.Client, store func(context.Context) error, log *slog.Logger) *readiness {
	r := &readiness{check: client.Check, limit: client.RateLimit, store: store, log: log, now: time.Now}
	for _, t := range targets {
		if !slices.ContainsFunc(r.repos, func(known repoReadiness) bool { return known.repo.Equal(t.Repo) }) {
			r.repos = append(r.repos, repoReadiness{repo: t.Repo, state: api.GitHubReadinessStateUnknown})
		}
	}
	return r
}

// get asks the store, and GitHub about one repository when that was last done a
// minute ago; of the others it answers from memory. One repository that is
// refused among others that are not keeps nobody from the rest.
func (r *readiness) get(ctx context.Context) api.Readiness {
	answer := api.Readiness{Status: api.ReadinessStatusReady, Store: r.storeReadiness(ctx), Github: []api.GitHubReadiness{}}
	repos := r.github(ctx)
	limit := r.limit() // after what was just asked told it
	refused, well := 0, 0
	for _, known := range repos {
		target := api.GitHubReadiness{Repository: known.repo.String(), State: known.state}
		if known.why != "" {
			target.Detail = &known.why
		}
		if limit.Limit > 0 {
			target.RateLimit = &api.RateLimit{Limit: limit.Limit, Remaining: limit.Remaining, Reset: limit.Reset.UTC()}
		}
		answer.Github = append(answer.Github, target)
		switch known.state {
		case api.GitHubReadinessStateUnknown:
		case api.GitHubReadinessStateRefused:
			refused++
		default:
			well++
		}
	}
	if refused > 0 && well == 0 || answer.Store.State == api.StoreReadinessStateFailed {
		answer.Status = api.ReadinessStatusNotReady
	}
	return answer
}

// github is what is known of each repository.
func (r *readiness) github(ctx context.Context) []repoReadiness {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked.IsZero() || r.now().Sub(r.asked) >= readinessAge {
		r.ask(ctx)
	}
	return slices.Clone(r.repos)
}

func (r *readiness) storeReadiness(ctx context.Context) api.StoreReadiness {
	ctx, cancel := context.WithTimeout(ctx, readinessTimeout)
	defer cancel()
	if err := r.store(ctx); err != nil {
		r.log.WarnContext(ctx, "the store cannot be used", "error", err.Error())
		why := "the database cannot be used; the log has more"
		return api.StoreReadiness{State: api.StoreReadinessStateFailed, Detail: &why}
	}
	return api.StoreReadiness{State: api.StoreReadinessStateOk}
}

// ask is not ended by the probe that caused it: the answer is everybody's.
func (r *readiness) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readinessTimeout)
	defer cancel()
	known := &r.repos[r.turn]
	r.turn = (r.turn + 1) % len(r.repos)
	_, err := r.check(ctx, known.repo)
	r.asked = r.now()
	known.state, known.why = verdict(err)
}

// verdict says what an error means for the readiness.
func verdict(err error) (state api.GitHubReadinessState, why string) {
	var limited *github.RateLimitError
	var known *github.Error
	switch {
	case err == nil:
		return api.GitHubReadinessStateOk, ""
	case errors.As(err, &limited):
		return api.GitHubReadinessStateLimited, limited.Error()
	case !errors.As(err, &known):
		return api.GitHubReadinessStateUnreachable, "GitHub did not answer in time"
	}
	why = known.Detail
	if why == "" {
		why = known.Kind.Error()
	}
	for _, refusal := range []error{github.ErrUnauthorized, github.ErrForbidden, github.ErrRepositoryNotFound} {
		if errors.Is(err, refusal) {
			return api.GitHubReadinessStateRefused, why
		}
	}
	return api.GitHubReadinessStateUnreachable, why
}
