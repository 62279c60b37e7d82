package update

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Mode says where the commits for a target go.
type Mode string

// The modes.
const (
	// CommitMode: to the branch; the zero value is the same.
	CommitMode Mode = "commit"
	// PullRequestMode: to a branch of their own, with a pull request.
	PullRequestMode Mode = "pull_request"
)

// PullGroup says what shares a pull request.
type PullGroup string

// The groups.
const (
	// GroupImage: each image, or list of images of one request, has its own; the zero
	// value is the same.
	GroupImage PullGroup = "image"
	// GroupTarget: everything that waits for the target.
	GroupTarget PullGroup = "target"
)

// PullSettings say what the pull requests of a target are like. The zero value is that of
// a target without settings.
type PullSettings struct {
	Group  PullGroup
	Prefix string // of the branches; "" is versions/
	// Title and Body make the texts of a pull request for one image; nil means the
	// service's own. What changes, and why, follows the body in any case.
	Title, Body func(image.Repository, image.Tag, image.Digest) string
	People      github.PullPeople
	Draft       bool
	// Merge has GitHub merge a pull request once its rules allow it, by Method: squash,
	// the zero value as well, merge or rebase. It gives up after MergeTimeout; zero means
	// a day.
	Merge        bool
	Method       string
	MergeTimeout time.Duration
}

const (
	defaultPrefix       = "versions/"
	defaultMergeTimeout = 24 * time.Hour
	// maxSlug and hashDigits bound the parts of a branch's name, in characters.
	maxSlug    = 80
	hashDigits = 10
)

// branchName is the name of the pull request's branch for images on a target. One level
// below the prefix, because git holds no branch a beside a/b.
func (s PullSettings) branchName(target string, images []Image) string {
	what := ""
	if s.Group != GroupTarget {
		names := make([]string, len(images))
		for i, m := range images {
			names[i] = m.Repository.Name()
		}
		slices.Sort(names)
		what = strings.Join(names, ",")
	}
	hash := sha256.Sum256([]byte(target + "\x00" + what))
	return cmp.Or(s.Prefix, defaultPrefix) + slug(target+" "+what) + "-" + hex.EncodeToString(hash[:])[:hashDigits]
}

// slug is the text with each run outside of [a-z0-9] as one dash.
func slug(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == maxSlug {
			break
		}
	}
	return strings.Trim(b.String(), "-")
}

// proposes reports whether a request for the target becomes a pull request.
func (t *Target) proposes(r Request) bool {
	return t.Propose != nil && cmp.Or(r.Mode, t.Mode) == PullRequestMode
}

// ModeRefusedError reports that a target does not take commits without a pull request.
type ModeRefusedError struct {
	Target string // the target's place
}

// Error is a sentence for the caller.
func (e *ModeRefusedError) Error() string {
	return e.Target + " takes pull requests only; leave the mode out"
}

// refuseMode returns a *ModeRefusedError for a request that would go around the pull
// requests of a target.
func refuseMode(all []chosen, r Request) error {
	for _, t := range all {
		if r.Mode == CommitMode && t.Mode == PullRequestMode {
			return &ModeRefusedError{Target: t.place().String()}
		}
	}
	return nil
}

// Pull is the pull request that a request came to.
type Pull struct {
	Number int
	URL    string
	Branch string
	State  string // open, merged or closed
}

// PullRequestClosed is the reason for leaving an image alone whose pull request somebody
// closed without a merge.
const PullRequestClosed = "pull_request_closed"

// PullChangedError reports that somebody else has pushed to the branch of a pull request.
type PullChangedError struct {
	Branch string
	Number int // of the open pull request; 0 when there is none
	URL    string
}

// Error is a sentence for the caller.
func (e *PullChangedError) Error() string {
	if e.Number == 0 {
		return fmt.Sprintf("the branch %s has commits that are not this service's; nothing was written: delete the branch, or merge it", e.Branch)
	}
	return fmt.Sprintf("the branch of pull request #%d (%s) has commits that are not this service's; nothing was written: "+
		"merge or close it and delete the branch, or take the commits back", e.Number, e.Branch)
}
