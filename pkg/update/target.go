package update

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// Repository is one branch of one repository, as this package needs it.
// *github.Branch is one. Its methods are safe for concurrent use, and their
// errors are those of package github.
type Repository interface {
	// Remembered returns the newest snapshot that is known without a request. It
	// may be behind the branch.
	Remembered() (*github.Snapshot, bool)
	// Snapshot returns the branch as it is now.
	Snapshot(ctx context.Context) (*github.Snapshot, error)
	// Read calls visit once for each entry, one call at a time, in any order, with
	// the entry's index and its content. The content is never changed afterwards
	// and must not be. An error of visit ends the reading and is returned.
	Read(ctx context.Context, s *github.Snapshot, entries []github.Entry, visit func(i int, content []byte) error) error
	// Commit puts one commit on top of the snapshot's. github.ErrBranchMoved says
	// that the branch is at another commit and nothing was written.
	Commit(ctx context.Context, s *github.Snapshot, c github.Changeset) (github.Commit, error)
	// Landed looks for a commit on the branch as it is now; nil when it is not there.
	Landed(ctx context.Context, commit github.SHA) (*github.Landing, error)
}

// Target is a branch, or some files of it, that updates are written to.
type Target struct {
	// Name tells targets on one branch apart; it may be empty for one alone.
	Name string
	Repo github.Repo
	// Branch is empty for the repository's default branch.
	Branch     string
	Repository Repository

	// Include and Exclude are doublestar globs, which must be valid, over a file's
	// path from the repository's root. A file is taken in when one of Include, or
	// nothing, is given and matches, and none of Exclude.
	Include, Exclude []string
	// Images are doublestar globs over an image's normalised name; without any the
	// target takes every image.
	Images []string
	// Present is a pattern that the present version of a reference must match; zero
	// means any.
	Present image.Pattern
	// Files are the kinds of files that are looked into; none means YAML alone.
	Files []FileKind
	// Overrides says what becomes of versions that stand in another file than the
	// image's name; empty is ReportOverrides.
	Overrides OverrideMode
	// SkipEmbedded leaves references alone that stand inside of text.
	SkipEmbedded bool
	// Unpin writes the version in place of a digest that stands alone, also for a
	// request without a digest.
	Unpin bool
	// PinDigests writes a digest behind each version, also where none stands, and refuses
	// requests without a digest that the registry does not tell.
	PinDigests bool
	// Proxies are prefixes of names that stand for a registry.
	Proxies []manifest.Proxy
	// Gate says what the target takes, and when.
	Gate Gate
	// Message makes the headline of commits; nil means the service's own.
	Message func(image.Repository, image.Tag, image.Digest) string
	// RefuseMessages refuses requests with a message of their own.
	RefuseMessages bool
	// Mode says where commits go; "" is CommitMode.
	Mode Mode
	// Pulls say what pull requests are like.
	Pulls PullSettings
	// Propose returns the branch of a pull request; nil for a target that can have none.
	Propose func(branch string) *github.Proposal
	// Author of the commits; nil leaves it to Repository.
	Author *github.Signature
}

// FileKind is a kind of files that may hold manifests.
type FileKind string

// The kinds.
const (
	YAML FileKind = "yaml"
	JSON FileKind = "json"
)

// takesKind reports whether the target looks into files of the path's kind.
func (t *Target) takesKind(path string) bool {
	switch {
	case manifest.IsJSON(path):
		return slices.Contains(t.Files, JSON)
	case manifest.IsManifest(path):
		return len(t.Files) == 0 || slices.Contains(t.Files, YAML)
	}
	return false
}

// OverrideMode says what becomes of versions that stand in another file than the
// image's name.
type OverrideMode string

// The modes.
const (
	// ReportOverrides lists them as skipped.
	ReportOverrides OverrideMode = "report"
	// EditOverrides moves them like others.
	EditOverrides OverrideMode = "edit"
	// IgnoreOverrides does not look for them.
	IgnoreOverrides OverrideMode = "ignore"
)

// place is the target as it was configured. Its ID is its name, or else
// owner/name@branch, without the branch when that is the default one.
func (t *Target) place() Place {
	p := Place{Name: t.Name, Repo: t.Repo, Branch: t.Branch, Key: strings.ToLower(t.Repo.String()) + "@" + t.Branch}
	p.ID = cmp.Or(t.Name, p.String())
	return p
}

// takes reports whether an image of the request may be moved in the target.
func (t *Target) takes(r Request, m Image) bool { return t.isFor(m) && t.refuses(r, m) == nil }

// isFor reports whether the image may be moved in the target to some version.
func (t *Target) isFor(m Image) bool {
	return t.TakesImage(m.Repository) && (len(m.Permits) == 0 || m.permitted(t.place().ID))
}

// taken returns those of the request's images that may be moved in the target.
func (t *Target) taken(r Request) []Image {
	return slices.DeleteFunc(slices.Clone(r.Images), func(m Image) bool { return !t.takes(r, m) })
}

// Place returns the target as it was configured.
func (t *Target) Place() Place { return t.place() }

// Reads reports whether updates of the target look into a file.
func (t *Target) Reads(path string) bool { return t.takesKind(path) && t.takesFile(path) }

// TakesImage reports whether the target is for the image, whoever asks.
func (t *Target) TakesImage(repository image.Repository) bool {
	return len(t.Images) == 0 || matchesAny(t.Images, repository.Name())
}

// Lister returns a lister that sees files as updates of the target do.
func (t *Target) Lister() (*manifest.Lister, error) {
	return manifest.NewLister(t.options(), given(t.Present))
}

// takesFile reports whether the target's globs take the file in.
func (t *Target) takesFile(path string) bool {
	return (len(t.Include) == 0 || matchesAny(t.Include, path)) && !matchesAny(t.Exclude, path)
}

// narrowed reports that some files are not the target's.
func (t *Target) narrowed() bool { return len(t.Include)+len(t.Exclude) > 0 }

func matchesAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return doublestar.MatchUnvalidated(glob, name) })
}

// target is a Target with the serialiser of its branch, which targets on one branch
// share.
type target struct {
	Target
	at     Place // as it was configured
	branch *branch
}

// place is that of Target, which is asked for often.
func (t *target) place() Place { return t.at }

// placeIn is the target's place, as the snapshot shows it.
func (t *target) placeIn(s *github.Snapshot) Place {
	place := t.place()
	place.Repo, place.Branch = s.Repo, s.Branch
	return place
}

// isRepo reports whether a request for repo means this target; one for none means
// any. A renamed repository goes by both names.
func (t *target) isRepo(repo github.Repo) bool {
	if repo.IsZero() || t.Repo.Equal(repo) {
		return true
	}
	snapshot, ok := t.Repository.Remembered()
	return ok && snapshot.Repo.Equal(repo)
}

// isBranch reports whether a request for branch means this target; one for "" means
// any. known is false when that depends on a default branch that was never read.
func (t *target) isBranch(branch string) (fits, known bool) {
	if branch == "" || t.Branch != "" {
		return branch == "" || branch == t.Branch, true
	}
	snapshot, ok := t.Repository.Remembered()
	return ok && branch == snapshot.Branch, ok
}

// failed is the result of a request that ended with err before its branch was read.
func (t *target) failed(err error) Result {
	return Result{Place: t.place(), Err: err}
}
