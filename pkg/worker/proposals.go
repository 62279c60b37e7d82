package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

const (
	// followPoll is how often Follow asks the store for pull requests to look at.
	followPoll = 500 * time.Millisecond
	// followAtOnce bounds those that are looked at side by side, and followTimeout the steps
	// of one: it is less than the time for which the queue leaves one to its taker.
	followAtOnce  = 8
	followTimeout = 90 * time.Second
)

// Proposals are what the queue remembers of pull requests. It is an update.Proposals.
type Proposals struct{ queue *queue.Queue }

// NewProposals returns the proposals that q keeps.
func NewProposals(q *queue.Queue) *Proposals { return &Proposals{queue: q} }

// Recall returns what was kept of a branch.
func (p *Proposals) Recall(ctx context.Context, target, branch string) ([]byte, error) {
	found, _, err := p.queue.FindProposal(ctx, target, branch)
	return found.Data, err
}

// Keep stores it.
func (p *Proposals) Keep(ctx context.Context, target, branch string, data []byte, look time.Time) error {
	return p.queue.KeepProposal(ctx, queue.Proposal{Target: target, Name: branch, Data: data, LookAt: look})
}

// Forget deletes it.
func (p *Proposals) Forget(ctx context.Context, target, branch string) error {
	return p.queue.DropProposal(ctx, target, branch)
}

// End gives the parts of proposed updates the end of their pull request. What they changed
// stays in their results. Of several images one has all that they came to and the others
// their status alone: when it ends and others do not, it leaves that to one of them.
func (p *Proposals) End(ctx context.Context, target string, parts []update.Part, end update.Result) error {
	for _, part := range parts {
		if err := p.endPart(ctx, target, part, end); err != nil {
			return err
		}
	}
	return nil
}

func (p *Proposals) endPart(ctx context.Context, target string, part update.Part, end update.Result) error {
	over, err := p.proposed(ctx, target, part.ID)
	if err != nil {
		return err
	}
	var stay []queue.Task
	over = slices.DeleteFunc(over, func(t queue.Task) bool {
		if !holds(part, t) {
			stay = append(stay, t)
			return true
		}
		return false
	})
	for _, t := range over {
		result := end
		if before, err := update.DecodeResult(t.Result); err == nil && end.Err == nil {
			if before.Pull != nil && len(stay) > 0 {
				rest := update.EncodeResult(before.Without(part.Images))
				if err := p.queue.NoteProposed(ctx, target, part.ID, stay[0].Image, rest); err != nil {
					return err
				}
				before = update.Result{Place: before.Place}
			}
			result = ended(before, end)
		}
		if err := p.queue.EndProposed(ctx, target, part.ID, t.Image, outcome(result, nil, time.Now())); err != nil {
			return err
		}
	}
	return nil
}

// holds reports whether the task is for an image of the part.
func holds(part update.Part, t queue.Task) bool {
	return t.Image == "" || len(part.Images) == 0 || slices.ContainsFunc(part.Images, func(m update.Image) bool { return m.Repository.Name() == t.Image })
}

// Note adds to the results of the proposed updates.
func (p *Proposals) Note(ctx context.Context, target string, ids []string, note update.PullNote) error {
	for _, id := range ids {
		tasks, err := p.proposed(ctx, target, id)
		if err != nil {
			return err
		}
		for _, t := range tasks {
			result, err := update.DecodeResult(t.Result)
			if err != nil || result.Pull == nil { // of several images one has all
				continue // or another version of this program wrote it
			}
			result.MergeError, result.Merging = note.MergeError, note.Merging
			if note.Refused != nil {
				result.Refused = note.Refused
			}
			if err := p.queue.NoteProposed(ctx, target, id, t.Image, update.EncodeResult(result)); err != nil {
				return err
			}
		}
	}
	return nil
}

// proposed returns the tasks of an update on a target that are proposed.
func (p *Proposals) proposed(ctx context.Context, target, id string) ([]queue.Task, error) {
	u, err := p.queue.Get(ctx, id)
	if errors.Is(err, queue.ErrNotFound) { // its history is over, or was never stored
		return nil, nil
	}
	return slices.DeleteFunc(u.Tasks, func(t queue.Task) bool { return t.Target != target || t.Status != queue.Proposed }), err
}

// ended is a result after the end of its pull request.
func ended(before, end update.Result) update.Result {
	after := before
	after.Status, after.Reason = end.Status, end.Reason
	if before.Pull == nil {
		return after
	}
	after.Standing, after.MergeError, after.Merging = false, "", false
	if end.Commit != nil {
		after.Commit = end.Commit
	}
	if end.Pull != nil {
		after.Pull = end.Pull
	}
	return after
}

// Follower looks at pull requests. *update.Service is one.
type Follower interface {
	Follow(ctx context.Context, target, branch string) (refused []string, err error)
}

// Follow has the pull requests looked at that are due, some side by side, until ctx ends.
// follower is asked for each of them: it may be another one from time to time.
func (p *Proposals) Follow(ctx context.Context, follower func() Follower, log *slog.Logger) {
	var following sync.WaitGroup
	defer following.Wait()
	var busy atomic.Int32
	tick := time.NewTicker(followPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		room := followAtOnce - int(busy.Load())
		if room == 0 {
			continue
		}
		due, err := p.queue.DueProposals(ctx, room)
		if err != nil {
			continue // the store's own checks say that it is away
		}
		for _, one := range due {
			busy.Add(1)
			following.Go(func() {
				defer busy.Add(-1)
				p.followOne(ctx, follower(), one, log)
			})
		}
	}
}

func (p *Proposals) followOne(ctx context.Context, follower Follower, one queue.Proposal, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	refused, err := follower.Follow(ctx, one.Target, one.Name)
	if len(refused) > 0 {
		log.LogAttrs(ctx, slog.LevelWarn, "GitHub refused a part of a pull request",
			slog.String("target", one.Target), slog.String("branch", one.Name), slog.Any("refused", refused))
	}
	if err != nil && ctx.Err() == nil {
		log.LogAttrs(ctx, slog.LevelWarn, "looking at a pull request failed, it is tried again",
			append([]slog.Attr{slog.String("target", one.Target), slog.String("branch", one.Name)}, update.ErrorAttrs(err)...)...)
	}
}
