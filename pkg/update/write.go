package update

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
)

const (
	// maxAttempts bounds the plans for one call on a branch that keeps moving. Each
	// takes up to five requests.
	maxAttempts = 16
	// hurry is the number of attempts without a pause between them. A pause makes the
	// head that was just read out of date.
	hurry = 3
)

// racePauses separate replicas that keep losing races to each other. They are short,
// because waiting does not help against a steady competitor.
var racePauses = backoff.Policy{First: 20 * time.Millisecond, Most: 500 * time.Millisecond, Spread: 0.5}

// write is the only way to a target's branch, and runs once at a time for each branch.
// It writes the requests, which are in order of arrival, in as few commits as can hold
// them, and returns a Result for each.
func (s *Service) write(ctx context.Context, t *target, requests []Request) []Result {
	id := t.place().ID
	holds := s.standing(ctx, t)
	met := make([][]Hold, len(requests))
	results := repeat(Result{Place: t.place(), Status: Superseded}, len(requests))
	var timely []Request
	var at []int // the index of each
	requests = slices.Clone(requests)
	for i, r := range requests {
		if t.proposes(r) {
			r.proposal = t.Pulls.branchName(id, r.Images)
			requests[i] = r
		}
		end, landed, err := t.landed(ctx, r)
		switch {
		case err != nil:
			results[i] = t.failed(err)
		case landed:
			results[i] = end
			s.order.note(id, r, end.planned)
		default:
			met[i] = r.met(holds)
			if r = s.order.timely(id, r.free(met[i])); len(r.Images) > 0 {
				timely, at = append(timely, r), append(at, i)
			}
		}
	}
	for left := (pending{timely, at, results, met}); len(left.requests) > 0; {
		left = s.writePending(ctx, t, left)
	}
	for i, r := range requests {
		results[i].Images = r.Images
		results[i].leaveToNewer(r.free(met[i]).Images)
		t.leaveHeld(&results[i], met[i])
	}
	return results
}

// apart are the indexes of the requests that share a commit, or a pull request.
func apart(requests []Request) [][]int {
	var groups [][]int
	of := map[string]int{}
	for i, r := range requests {
		n, ok := of[r.proposal]
		if !ok {
			n = len(groups)
			of[r.proposal] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

// pending are requests that are still to be carried out.
type pending struct {
	requests []Request
	at       []int // the index of each in results and met
	results  []Result
	met      [][]Hold
}

// writePending fills in the results of the requests, and the holds that they meet. It
// returns those that newer ones replaced which were refused: a request that may not be
// carried out replaces nobody.
func (s *Service) writePending(ctx context.Context, t *target, p pending) (again pending) {
	again.results, again.met = p.results, p.met
	rounds, replacedBy := coalesce(p.requests)
	for _, round := range rounds {
		for _, members := range apart(round.requests) {
			ctx, spending := github.WithSpending(ctx)
			for n, outcome := range s.writeRound(ctx, t, pick(round.requests, members)) {
				at := round.at[members[n]]
				i := p.at[at]
				p.results[i] = outcome
				p.results[i].Spent = int(spending.Requests())
				p.met[i] = append(p.met[i], outcome.Holds...)
				if outcome.Err == nil && outcome.Status != Held && outcome.Reason == "" {
					s.order.note(t.place().ID, p.requests[at], outcome.planned)
				}
			}
		}
	}
	for _, older := range slices.Sorted(maps.Keys(replacedBy)) {
		for _, n := range replacedBy[older] {
			failed := p.results[p.at[n]]
			if isRefused(failed.Err) {
				again.requests, again.at = append(again.requests, p.requests[older]), append(again.at, p.at[older])
				break
			}
			if failed.Err != nil { // what came to nothing replaces nobody
				p.results[p.at[older]] = failed
			}
		}
	}
	return again
}

// leaveToNewer notes those of the images that newer requests have replaced.
func (r *Result) leaveToNewer(images []Image) {
	if r.Err != nil {
		return
	}
	for _, m := range images {
		if !slices.ContainsFunc(r.planned, m.alike) {
			r.Superseded = append(r.Superseded, m)
		}
	}
}

// pick returns the requests at the given indexes.
func pick(requests []Request, at []int) []Request {
	out := make([]Request, len(at))
	for i, index := range at {
		out[i] = requests[index]
	}
	return out
}

// writeRound commits the requests, which do not contradict each other, together. If
// that fails with an error that one of them may cause, such as a rule for a path, it
// tries them one by one. After two failures in a row the rest get the error of the whole.
func (s *Service) writeRound(ctx context.Context, t *target, requests []Request) []Result {
	results, err := s.writeWanted(ctx, t, requests)
	if err == nil {
		return results
	}
	results = repeat(t.failed(err), len(requests))
	if len(requests) == 1 || !mayBeOnes(err) {
		return results
	}
	failures := 0
	for i := range requests {
		alone, err := s.writeWanted(ctx, t, requests[i:i+1])
		if err == nil {
			results[i] = alone[0]
			failures = 0
			continue
		}
		results[i].Err = err
		if failures++; failures == 2 || !mayBeOnes(err) {
			break
		}
	}
	return results
}

// mayBeOnes reports whether one request of several may have caused the error.
func mayBeOnes(err error) bool {
	var fault *PanicError
	return errors.As(err, &fault) || errors.Is(err, github.ErrBranchProtected)
}

// writeOnHead plans the requests, which do not contradict each other, and commits the
// plan. It starts again when the branch has moved. An error applies to all requests.
func (s *Service) writeOnHead(ctx context.Context, t *target, requests []Request) ([]Result, error) {
	pauses := 0
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		results, err := s.attempt(ctx, t, requests)
		undecided := errors.Is(err, errUndecided)
		if !undecided && !errors.Is(err, github.ErrBranchMoved) {
			return results, err
		}
		if undecided || attempt%hurry == 0 {
			pauses++
			if err := backoff.Sleep(ctx, racePauses.After(pauses, s.random())); err != nil {
				return nil, err
			}
		}
	}
	return nil, &MovedError{Target: t.place().String(), Attempts: maxAttempts}
}

// attempt plans on the newest snapshot that is known, and commits. If the plan fails
// there or writes nothing, attempt plans again on the head that GitHub returns, because
// the known snapshot may be out of date.
func (s *Service) attempt(ctx context.Context, t *target, requests []Request) ([]Result, error) {
	if requests[0].proposal != "" {
		return s.attemptProposal(ctx, t, requests, false)
	}
	if known, ok := t.Repository.Remembered(); ok {
		p, err := s.plan(ctx, t, known, requests)
		if err == nil && p.writes() && !p.partial() {
			if p, err = s.checked(ctx, p); err == nil && p.writes() && s.gate(p) == nil {
				return s.land(ctx, p)
			}
		}
	}
	snapshot, err := s.readBranch(ctx, t)
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, t, snapshot, requests)
	if err != nil {
		return nil, err
	}
	if err := s.judge(ctx, p); err != nil {
		return nil, err
	}
	if p, err = s.checked(ctx, p); err != nil {
		return nil, err
	}
	if err := s.gate(p); err != nil {
		return nil, err
	}
	return s.land(ctx, p)
}

// dryRun plans one request on the branch as it is now.
func (s *Service) dryRun(ctx context.Context, t *target, r Request) (result Result) {
	ctx, spending := github.WithSpending(ctx)
	defer func() { result.Spent = int(spending.Requests()) }()
	select {
	case s.dryRuns <- struct{}{}:
		defer func() { <-s.dryRuns }()
	case <-ctx.Done():
		return t.failed(context.Cause(ctx))
	}
	var p *plan
	err := guard(func() error {
		snapshot, err := s.readBranch(ctx, t)
		if err == nil {
			p, err = s.plan(ctx, t, snapshot, []Request{r})
		}
		if err == nil {
			err = s.judge(ctx, p)
		}
		if err == nil {
			p, err = s.checked(ctx, p)
		}
		return err
	})
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return refused.of[0]
	case err != nil:
		return t.failed(err)
	}
	if errors.As(s.gate(p), &refused) {
		defer func() { result.Denied = refused.of[0].Err }()
	}
	result = p.results(nil)[0]
	if result.Err == nil {
		result.Status, result.Holds = Planned, r.met(s.standing(ctx, t))
		result.Diff = p.diff()
	}
	return result
}
