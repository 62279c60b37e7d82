package service

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

const (
	// readinessAge is how long an answer of GitHub serves probes: they come every
	// few seconds from each kubelet, and each question costs a request.
	readinessAge = time.Minute
	// readinessTimeout bounds one question; probes do not wait longer.
	readinessTimeout = 4 * time.Second
)

// readiness tells whether GitHub takes the credential for the repository. It is
// safe for concurrent use.
type readiness struct {
	check func(context.Context) (github.Status, error)
	limit func() github.RateLimit
	repo  github.Repo
	now   func() time.Time

	mu    sync.Mutex // held while GitHub is asked: the others wait for the answer
	asked time.Time
	state api.GitHubReadinessState
	why   string
}

// get answers from memory, and asks GitHub when that is older than a minute.
func (r *readiness) get(ctx context.Context) api.Readiness {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked.IsZero() || r.now().Sub(r.asked) >= readinessAge {
		r.ask(ctx)
	}
	target := api.GitHubReadiness{Repository: r.repo.String(), State: r.state}
	if why := r.why; why != "" {
		target.Detail = &why
	}
	if limit := r.limit(); limit.Limit > 0 {
		target.RateLimit = &api.RateLimit{Limit: limit.Limit, Remaining: limit.Remaining, Reset: limit.Reset.UTC()}
	}
	answer := api.Readiness{Status: api.ReadinessStatusReady, Github: []api.GitHubReadiness{target}}
	if r.state == api.GitHubReadinessStateRefused {
		answer.Status = api.ReadinessStatusNotReady
	}
	return answer
}

// ask is not ended by the probe that caused it: the answer is everybody's.
func (r *readiness) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readinessTimeout)
	defer cancel()
	_, err := r.check(ctx)
	r.asked = r.now()
	r.state, r.why = verdict(err)
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
