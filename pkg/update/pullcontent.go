package update

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// Proposals remembers what is known of pull requests, as a hint: GitHub has the truth. It
// is safe for concurrent use.
type Proposals interface {
	// Recall returns what Keep kept for a branch of a target; nil when there is nothing.
	Recall(ctx context.Context, target, branch string) ([]byte, error)
	// Keep stores it, and when Follow is to be called next.
	Keep(ctx context.Context, target, branch string, data []byte, look time.Time) error
	// Forget deletes it.
	Forget(ctx context.Context, target, branch string) error
	// End tells what became of the parts of updates that are proposed.
	End(ctx context.Context, target string, parts []Part, result Result) error
	// Note tells what is to be known of those that are still proposed.
	Note(ctx context.Context, target string, ids []string, note PullNote) error
}

// Part is what a pull request holds of an update.
type Part struct {
	ID string
	// Images are those of the update that it holds; none stands for all.
	Images []Image
}

// PullNote is what is said of updates while they are proposed.
type PullNote struct {
	// MergeError and Merging are those of a Result.
	MergeError string
	Merging    bool
	// Refused are those of a Result; none leaves it as it is.
	Refused []string
}

// said is what the updates of a pull request were told of its merge.
type said struct {
	Error   string `json:"error,omitempty"`
	Merging bool   `json:"merging,omitempty"`
}

const (
	// keptHeads is how many of the own commits on a branch are remembered.
	keptHeads = 8
	// maxContent bounds what a pull request says of its content to the service, in bytes.
	maxContent = 24 << 10
)

// proposal is what a pull request holds. A part of it stands in its body, so that it is
// known to a service that has lost its database.
type proposal struct {
	V int `json:"v"`
	// Heads are the latest commits of ours on the branch, the newest last.
	Heads []github.SHA `json:"heads,omitempty"`
	// Entries are the requests that it carries out.
	Entries []entry `json:"entries,omitempty"`
	// Closed reports that the service closed it.
	Closed bool `json:"closed,omitempty"`

	// What follows is kept in the store alone.

	Number int    `json:"number,omitempty"`
	URL    string `json:"url,omitempty"`
	// Seen is when it was seen closed, by somebody else.
	Seen time.Time `json:"seen,omitzero"`
	// Base is the commit that the last own one was planned on.
	Base github.SHA `json:"base,omitempty"`
	// Blobs stands for the files that it changes, as they were there.
	Blobs string `json:"blobs,omitempty"`
	Merge *merge `json:"merge,omitempty"`
	// Bare reports that the open pull request may lack its labels, reviewers and the like.
	Bare bool `json:"bare,omitempty"`
	Said said `json:"said,omitzero"`
}

// entry is a request in a pull request.
type entry struct {
	ID string `json:"id"`
	// IDs are those of requests for the same.
	IDs     []string        `json:"ids,omitempty"`
	Caller  string          `json:"by,omitempty"`
	Request json.RawMessage `json:"request"` // its stored form
}

// newEntry is the request as an entry.
func newEntry(r Request) entry {
	r.Message = strings.TrimSpace(r.Message)
	return entry{ID: r.ID, Caller: r.Caller, Request: EncodeRequest(r)}
}

// request reads the entry.
func (e entry) request() (Request, error) {
	r, err := DecodeRequest(e.Request)
	r.ID, r.Caller = e.ID, e.Caller
	return r, err
}

func (e entry) all() []string { return append([]string{e.ID}, e.IDs...) }

// same reports whether two requests ask for the same.
func same(a, b Request) bool {
	return a.Scope() == b.Scope() && len(a.Images) == len(b.Images) &&
		!slices.ContainsFunc(a.Images, func(m Image) bool { return !slices.ContainsFunc(b.Images, m.alike) })
}

// asksAgain reports whether a request asks for what an old one asked for, to which a
// registry may have added the digest.
func asksAgain(r, old Request) bool {
	return r.Scope() == old.Scope() && len(r.Images) == len(old.Images) &&
		!slices.ContainsFunc(r.Images, func(m Image) bool {
			return !slices.ContainsFunc(old.Images, func(o Image) bool {
				return o.Repository.Equal(m.Repository) && o.Version == m.Version && (m.Digest.IsZero() || m.Digest == o.Digest)
			})
		})
}

const (
	markerStart = "<!-- versions-service "
	markerEnd   = " -->"
)

// marker is what the body of the pull request says of it, as a comment that nobody sees.
// JSON escapes the characters that could end it.
func (p proposal) marker() string {
	told := proposal{V: 1, Heads: p.Heads, Entries: p.Entries, Closed: p.Closed}
	text := string(encode(told))
	return markerStart + strings.ReplaceAll(text, "--", `-\u002d`) + markerEnd
}

// readMarker finds the marker in a body; ok is false where there is none.
func readMarker(body string) (p proposal, ok bool) {
	at := strings.LastIndex(body, markerStart)
	if at < 0 {
		return proposal{}, false
	}
	text, _, found := strings.Cut(body[at+len(markerStart):], markerEnd)
	if !found || json.Unmarshal([]byte(text), &p) != nil || p.V != 1 {
		return proposal{}, false
	}
	return p, true
}

// owns reports whether the service made the commit.
func (p proposal) owns(head github.SHA) bool { return slices.Contains(p.Heads, head) }

// made adds a commit to those of the service's own.
func (p *proposal) made(head github.SHA) {
	p.Heads = slices.DeleteFunc(slices.Clone(p.Heads), func(sha github.SHA) bool { return sha == head })
	p.Heads = append(p.Heads, head)
	p.Heads = p.Heads[max(0, len(p.Heads)-keptHeads):]
}

// ids are those of all updates in it.
func (p proposal) ids() []string {
	var ids []string
	for _, e := range p.Entries {
		ids = append(ids, e.all()...)
	}
	return ids
}

// parts are what it holds of each update in it.
func (p proposal) parts() []Part {
	var parts []Part
	for _, e := range p.Entries {
		r, _ := e.request() // of one that cannot be read it is all
		for _, id := range e.all() {
			parts = append(parts, Part{ID: id, Images: r.Images})
		}
	}
	return parts
}

// minus are the parts without what is in others.
func minus(parts, others []Part) []Part {
	var left []Part
	for _, p := range parts {
		i := slices.IndexFunc(others, func(o Part) bool { return o.ID == p.ID })
		if i >= 0 {
			p.Images = slices.DeleteFunc(slices.Clone(p.Images), func(m Image) bool {
				return slices.ContainsFunc(others[i].Images, func(o Image) bool { return o.Repository.Equal(m.Repository) })
			})
		}
		if i < 0 || len(p.Images) > 0 {
			left = append(left, p)
		}
	}
	return left
}

// requests reads the entries. One that a later version of the program wrote is left out.
func (p proposal) requests() []Request {
	var out []Request
	for _, e := range p.Entries {
		if r, err := e.request(); err == nil {
			out = append(out, r)
		}
	}
	return out
}

// recall returns what is known of a branch, from the store and from the body of its newest
// pull request. Without the store the body alone tells.
func (s *Service) recall(ctx context.Context, t *target, branch string, sight github.Sight) proposal {
	var known proposal
	if s.proposals != nil {
		if data, err := s.proposals.Recall(ctx, t.place().ID, branch); err == nil && data != nil {
			_ = json.Unmarshal(data, &known) // what cannot be read is a hint that is lost
		}
	}
	if len(sight.Pulls) == 0 {
		return known
	}
	newest := sight.Pulls[0]
	if open, ok := sight.Open(); ok {
		newest = open
	}
	told, ok := readMarker(newest.Body)
	if !ok {
		return known
	}
	if known.Number != newest.Number || known.Entries == nil {
		told.Heads = slices.Compact(append(told.Heads, known.Heads...))
		told.Number, told.URL = newest.Number, newest.URL
		told.Bare = known.Number == 0 && known.Bare // opened by a try that was cut short
		return told
	}
	for _, head := range told.Heads {
		if !known.owns(head) {
			known.Heads = append([]github.SHA{head}, known.Heads...)
		}
	}
	known.Closed = told.Closed
	return known
}

// keep stores what is known of a branch. Like a commit's announcement it is needed by
// requests that are stored alone.
func (s *Service) keep(ctx context.Context, t *target, branch string, p proposal, in time.Duration) error {
	if s.proposals == nil {
		return nil
	}
	p.V = 1
	return s.proposals.Keep(ctx, t.place().ID, branch, encode(p), s.clock().Add(in))
}

// joined are the entries after requests: each takes the place of those for its images.
func (p proposal) joined(requests []Request) []entry {
	var out []entry
	for _, e := range p.Entries {
		old, err := e.request()
		if err != nil {
			continue
		}
		taken := func(m Image) bool {
			return slices.ContainsFunc(requests, func(r Request) bool {
				return slices.ContainsFunc(r.Images, func(n Image) bool { return n.Repository.Equal(m.Repository) })
			})
		}
		left := slices.DeleteFunc(slices.Clone(old.Images), taken)
		switch {
		case len(left) == 0:
		case len(left) == len(old.Images):
			out = append(out, e)
		default:
			next := newEntry(old.with(left))
			next.IDs = e.IDs
			out = append(out, next)
		}
	}
	for _, r := range requests {
		out = join(out, r, p.Entries)
	}
	return out
}

// join adds a request to entries. One for the same as another entry shares it, and keeps
// the ids of those that asked for the same before.
func join(entries []entry, r Request, before []entry) []entry {
	for i, e := range entries {
		if other, err := e.request(); err == nil && same(other, r) {
			if !slices.Contains(e.all(), r.ID) {
				entries[i].IDs = append(slices.Clone(e.IDs), r.ID)
			}
			return entries
		}
	}
	for _, e := range before {
		if other, err := e.request(); err == nil && same(other, r) {
			if !slices.Contains(e.all(), r.ID) {
				e.IDs = append(slices.Clone(e.IDs), r.ID)
				e.IDs = e.IDs[max(0, len(e.IDs)-maxIDs):]
			}
			return append(entries, e)
		}
	}
	return append(entries, newEntry(r))
}

// maxIDs bounds the updates that an entry names beside its own.
const maxIDs = 20

// sameContent reports whether both hold requests for the same.
func sameContent(a, b []entry) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(e entry) bool {
		r, err := e.request()
		return err != nil || !slices.ContainsFunc(b, func(o entry) bool {
			other, err := o.request()
			return err == nil && same(r, other)
		})
	})
}

// checkContent returns a *PullFullError for a pull request that holds more than it may.
func checkContent(p proposal, branch string) error {
	if len(p.marker()) > maxContent {
		return &PullFullError{Branch: branch, Number: p.Number}
	}
	return nil
}

// PullFullError reports that a pull request for a whole target holds as many images as its
// body has room for.
type PullFullError struct {
	Branch string
	Number int
}

// Error is a sentence for the caller.
func (e *PullFullError) Error() string {
	return fmt.Sprintf("the pull request of the branch %s holds as many images as it has room for; merge it first", e.Branch)
}
