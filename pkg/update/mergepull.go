package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
)

// merge is a merge that GitHub was asked for.
type merge struct {
	Head   github.SHA         `json:"head"`
	UUID   string             `json:"uuid,omitempty"`
	Status github.MergeStatus `json:"status"`
	// Words are GitHub's, of the last failure.
	Words string `json:"words,omitempty"`
	// Since is when the first merge of this commit was asked for, and Tries how often.
	Since time.Time `json:"since"`
	Tries int       `json:"tries"`
	// Asked is when it was asked for last.
	Asked time.Time `json:"asked,omitzero"`
	// Next is when a merge that failed is asked for again.
	Next time.Time `json:"next,omitzero"`
	// Never reports that the server cannot merge in the background.
	Never bool `json:"never,omitempty"`
	// GaveUp reports that its time is over.
	GaveUp bool `json:"gave_up,omitempty"`
	// Stopped reports that it was not asked for because of a hold or a freeze.
	Stopped bool `json:"stopped,omitempty"`
}

// mergeWaits part the tries of a merge that failed: people and checks take their time.
var mergeWaits = backoff.Policy{First: 30 * time.Second, Most: 15 * time.Minute}

// mergeError is what the answer says where the server cannot merge in the background.
const mergeError = "the server has no asynchronous merge: somebody has to merge the pull request"

// mergeWhenReady asks GitHub to merge the pull request, or what became of a merge that it
// was asked for. It returns what is to be said of it.
func (s *Service) mergeWhenReady(ctx context.Context, d *draft, commit github.Commit) said {
	if !d.settings.Merge {
		return said{}
	}
	m := d.after.Merge
	if m == nil || m.Head != commit.SHA || m.GaveUp && !d.follow {
		m = &merge{Head: commit.SHA, Since: s.clock()}
		d.after.Merge = m
	}
	switch {
	case m.Never:
		return said{Error: mergeError}
	case m.GaveUp:
		return said{Error: d.mergeFailure(m).Error()}
	}
	if d.stop = s.whatStops(ctx, d); d.stop.why != "" {
		m.Stopped = true
		return said{Error: d.stop.sentence()}
	}
	if m.Stopped { // that time does not count
		m.Stopped, m.Since, m.Next = false, s.clock(), time.Time{}
	}
	err := s.pursueMerge(ctx, d, m, commit)
	switch {
	case errors.Is(err, github.ErrNoAsyncMerge):
		m.Never = true
		return said{Error: mergeError}
	case err != nil: // it is asked for again when the pull request is looked at next
		return said{Merging: true, Error: "the merge could not be asked for and is tried again: " + FailureOf(err).Detail}
	case m.Status == github.MergeFailed:
		return said{Merging: true, Error: "it is not merged yet, and GitHub is asked again; GitHub says: " + m.Words}
	}
	return said{Merging: true}
}

// pursueMerge takes the next step with a merge.
func (s *Service) pursueMerge(ctx context.Context, d *draft, m *merge, commit github.Commit) error {
	switch {
	case m.Status == "", m.Status == github.MergeForgotten, m.Status == github.MergeFailed && s.mayAskAgain(d, m),
		m.UUID == "" && m.underWay() && !s.clock().Before(m.Next): // somebody else's, of which only asking again tells
		return s.askMerge(ctx, d, m, commit)
	case m.UUID != "" && m.underWay():
		got, err := d.pr.MergeResult(ctx, d.open.Number, m.UUID)
		if err == nil {
			m.take(got, s.clock())
		}
		return err
	}
	return nil
}

// betweenMerges is the least that parts two tries, whoever hints at the pull request.
const betweenMerges = 2 * time.Second

// mayAskAgain reports whether a merge that failed is worth another try: its time has come,
// or the pull request is looked at before that, because something has happened to it.
func (s *Service) mayAskAgain(d *draft, m *merge) bool {
	now := s.clock()
	return !now.Before(m.Next) || d.follow && now.Sub(m.Asked) >= betweenMerges
}

func (s *Service) askMerge(ctx context.Context, d *draft, m *merge, commit github.Commit) error {
	o := github.MergeOptions{Head: commit.SHA, Method: cmp.Or(d.settings.Method, "squash")}
	if o.Method != "rebase" { // the trailers stay, and the history is read from them
		headline, rest, _ := strings.Cut(commit.Message, "\n")
		o.Title, o.Message = fmt.Sprintf("%s (#%d)", headline, d.open.Number), strings.TrimSpace(rest)
	}
	m.Tries++
	m.Asked = s.clock()
	m.Next = s.clock().Add(mergeWaits.After(m.Tries, 0))
	got, err := d.pr.Merge(ctx, d.open.Number, o)
	if err == nil {
		m.UUID = ""
		m.take(got, s.clock())
	}
	return err
}

// take takes in what GitHub says of the merge.
func (m *merge) take(got github.Merging, now time.Time) {
	m.Status = got.Status
	if got.UUID != "" {
		m.UUID = got.UUID
	}
	if got.Status == github.MergeFailed {
		m.Words = got.Words
		m.Next = now.Add(mergeWaits.After(m.Tries, 0))
	}
}

// next is how long the pull request may be left alone.
func (s *Service) next(d *draft) time.Duration {
	m, now := d.after.Merge, s.clock()
	switch {
	case d.stop.why != "" && d.settings.Merge && m.underWay():
		return 0
	case d.stop.why != "" && !d.stop.until.IsZero():
		return max(0, min(followLater, d.stop.until.Sub(now)))
	case d.stop.why != "", m == nil, m.Never, m.GaveUp:
		return followLater
	case m.Status == github.MergeMerged:
		return 0
	case m.Status == github.MergePending, m.Status == "": // at first it is a matter of a second or two
		return max(time.Second, min(followSoon, now.Sub(m.Asked)))
	case m.Status == github.MergeEnqueued:
		return 6 * followSoon
	}
	return mergeWaits.After(m.Tries, 0)
}

// gaveUp is the result of a merge that did not come about in time; ok is false while there
// is time.
func (s *Service) gaveUp(d *draft) (Result, bool) {
	m := d.before.Merge
	if m == nil || m.Never || m.GaveUp || m.Stopped || m.Status != github.MergeFailed ||
		s.clock().Sub(m.Since) < cmp.Or(d.settings.MergeTimeout, defaultMergeTimeout) {
		return Result{}, false
	}
	return Result{Place: d.t.place(), Err: d.mergeFailure(m)}, true
}

func (d *draft) mergeFailure(m *merge) *MergeFailedError {
	return &MergeFailedError{Number: d.open.Number, URL: d.open.URL, Words: m.Words}
}

// MergeFailedError reports that GitHub did not merge a pull request within its time.
type MergeFailedError struct {
	Number int
	URL    string
	Words  string // GitHub's
}

// Error is a sentence for the caller.
func (e *MergeFailedError) Error() string {
	return fmt.Sprintf("GitHub did not merge pull request #%d, which stays open; GitHub says: %s", e.Number, e.Words)
}
