package update

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// ErrStopping is the end of a request that was still waiting when the service stopped.
var ErrStopping = errors.New("the service is stopping")

// NotReferencedError reports that no file of a branch names the images.
type NotReferencedError struct {
	Images []string // as the request spells them
	Repo   github.Repo
	Branch string
	// Narrowed reports that the request's paths, or the target's, left files out.
	Narrowed bool
	// Partly reports that the branch names other images of the request, which were left
	// alone: no target names these.
	Partly bool
	// Near are at most three images that are named and may be meant.
	Near []string
	// Unread is how many files were too large to look into.
	Unread int
	// More is how many more targets do not name the images either.
	More int
}

// Error is a sentence for the caller.
func (e *NotReferencedError) Error() string {
	files := "no YAML file"
	if e.Narrowed {
		files = "no YAML file under the paths of the request and the target"
	}
	unread := ""
	if e.Unread > 0 {
		unread = fmt.Sprintf(" (%d too large to read)", e.Unread)
	}
	advice := "check its spelling, registry included"
	if len(e.Images) > 1 {
		advice = "check their spelling, registries included"
	}
	if len(e.Near) > 0 {
		advice = "did you mean `" + strings.Join(e.Near, "`, `") + "`?"
	}
	if e.Partly {
		advice += "; the other images were left alone"
	}
	more := ""
	if e.More > 0 {
		more = fmt.Sprintf(", and on none of %d more targets,", e.More)
	}
	return fmt.Sprintf("%s on %s@%s%s names the %s%s; %s", files, e.Repo, e.Branch, more, imagesOf(e.Images), unread, advice)
}

// maxListed bounds the targets that an answer lists of many.
const maxListed = 10

// listed are the first of many names, and the number of the others.
func listed(names []string) string {
	if len(names) <= maxListed {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), len(names)-maxListed)
}

// imagesOf is "image a", or "images a, b".
func imagesOf(names []string) string {
	if len(names) == 1 {
		return "image " + names[0]
	}
	return "images " + strings.Join(names, ", ")
}

// NotTakenError reports that no target is for the images.
type NotTakenError struct {
	Images []string
}

// Error is a sentence for the caller.
func (e *NotTakenError) Error() string {
	return fmt.Sprintf("no target takes the %s; see images of the targets in CONFIG_FILE", imagesOf(e.Images))
}

// NoTargetError reports that the requested repository, branch or target is not
// configured.
type NoTargetError struct {
	// Repo is what was asked for, zero when the branch alone does not fit.
	Repo   github.Repo
	Branch string
	// Target is the id of one that was configured once.
	Target string
	// Targets are those there are, as far as the caller may know of them.
	Targets []Place
}

// Error is a sentence for the caller.
func (e *NoTargetError) Error() string {
	asked := "branch " + e.Branch
	switch {
	case e.Target != "":
		asked = e.Target
	case !e.Repo.IsZero():
		asked = e.Repo.String()
	}
	sentence := asked + " is not a target of this service"
	if len(e.Targets) == 0 {
		return sentence
	}
	places := make([]string, len(e.Targets))
	for i, p := range e.Targets {
		places[i] = p.String()
	}
	return sentence + "; it writes to " + listed(places)
}

// MessageRefusedError reports that a target takes no commit messages of callers.
type MessageRefusedError struct {
	Target string // the target's place
}

// Error is a sentence for the caller.
func (e *MessageRefusedError) Error() string {
	return e.Target + " takes no messages of callers; leave the message out"
}

// code is that of what is not configured.
func (e *NoTargetError) code() Code {
	if e.Repo.IsZero() && e.Target == "" {
		return CodeBranchNotFound
	}
	return CodeRepositoryNotFound
}

// TimeoutError reports that a request took longer than it may. Nothing was written.
type TimeoutError struct {
	// After is the limit; zero when it is not known.
	After time.Duration
	Err   error
}

// Error is a sentence for the caller.
func (e *TimeoutError) Error() string {
	within := "in time"
	if e.After > 0 {
		within = "within " + e.After.String()
	}
	return fmt.Sprintf("the update did not finish %s; nothing was written, send the request again", within)
}

// Unwrap returns the context's error.
func (e *TimeoutError) Unwrap() error { return e.Err }

// MovedError reports that other pushes won the race for the branch every time.
type MovedError struct {
	Target   string // owner/name@branch
	Attempts int
}

// Error is a sentence for the caller.
func (e *MovedError) Error() string {
	return fmt.Sprintf("other pushes won the race for %s %d times; nothing was written, send the request again", e.Target, e.Attempts)
}

// Unwrap makes it a github.ErrBranchMoved.
func (e *MovedError) Unwrap() error { return github.ErrBranchMoved }
