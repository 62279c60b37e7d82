package update

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// Image is an image with the version that it is moved to.
type Image struct {
	Repository image.Repository
	Version    image.Tag
	// Digest is the digest behind Version; zero when it is not known.
	Digest image.Digest
	// Permits are the targets in which a rule allows to move the image; without any it
	// may be moved in each.
	Permits []Permit
}

// Permit allows to move an image in a target.
type Permit struct {
	Target string // its id
	Rule   string // the name of the rule; "" for none
	// RefuseDowngrade reports that the rule refuses versions that are lower than a
	// present one.
	RefuseDowngrade bool
	// Rollback reports that the rule lets the request go back to an earlier version,
	// whoever refuses downgrades.
	Rollback bool
	// Watched reports that rules are only watched: what they refuse is noted, and done.
	Watched bool
	// WouldDeny are the reasons for which the rules would not permit it, if they were
	// not only watched, and Closest is the rule that fits best, "" for none.
	WouldDeny []string
	Closest   string
}

// Denial is why a rule does not allow an image.
type Denial struct {
	Image   string // as it was spelled
	Rule    string // the closest; "" for none
	Reasons []string
	// OnBranch reports that the branch decided, which holds a higher version.
	OnBranch bool
}

// Refusal is a decision against an image of a request that was taken when the branch was
// read.
type Refusal struct {
	Image   Image
	Rule    string // "" for the target's own keys
	Reasons []string
	// Watched reports that the image was moved all the same.
	Watched bool
}

// Outcome is the word for the log.
func (r Refusal) Outcome() string {
	if r.Watched {
		return "would_deny"
	}
	return "denied"
}

// Refusals returns the decisions that were taken against images of the request when its
// target came to the result.
func (r *Result) Refusals() (all []Refusal) {
	add := func(name string, refusal Refusal) {
		for _, m := range r.Images {
			if m.Repository.String() == name {
				refusal.Image = m
				all = append(all, refusal)
			}
		}
	}
	var denied *DeniedError
	if errors.As(cmp.Or(r.Err, r.Denied), &denied) {
		add(denied.Image, Refusal{Rule: denied.Rule, Reasons: denied.Reasons})
	}
	for _, d := range r.WouldDeny {
		if d.OnBranch {
			add(d.Image, Refusal{Rule: d.Rule, Reasons: d.Reasons, Watched: true})
		}
	}
	return all
}

// String is the image with its version and, if that is known, its digest.
func (m Image) String() string {
	text := m.Repository.String() + ":" + m.Version.String()
	if !m.Digest.IsZero() {
		text += "@" + m.Digest.String()
	}
	return text
}

// alike reports whether both are the same image at the same version and digest.
func (m Image) alike(other Image) bool {
	return m.Repository.Equal(other.Repository) && m.Version == other.Version && m.Digest == other.Digest
}

// permitted reports whether the image may be moved in a target.
func (m Image) permitted(target string) bool {
	return len(m.Permits) == 0 || slices.ContainsFunc(m.Permits, func(p Permit) bool { return p.Target == target })
}

// permit returns that for a target; zero where no rule permits it, since there are none.
func (m Image) permit(target string) Permit {
	if i := slices.IndexFunc(m.Permits, func(p Permit) bool { return p.Target == target }); i >= 0 {
		return m.Permits[i]
	}
	return Permit{}
}

// goesBack reports whether a request that goes back to an earlier version may do so where
// downgrades are refused.
func (p Permit) goesBack() bool { return p.Rollback || p.Watched || p.Target == "" }

// Request moves images, each to a version: on each target all of those that it names,
// in one commit, or none.
type Request struct {
	// ID names the request in commits and logs.
	ID string
	// Images are what is moved: at least one, and each image once.
	Images []Image
	// All are the images of the request on all of its targets, where Images are those on
	// one; nil means Images.
	All []Image
	// Listed reports that the request came with a list of images, which may be of one.
	Listed bool

	// Repo, Branch and Targets, which are ids, narrow the targets; zero means any.
	Repo    github.Repo
	Branch  string
	Targets []string
	// Paths are doublestar globs of which a file's path must match one; none
	// means every file. They must be valid (doublestar.ValidatePattern).
	Paths []string
	// Present is a pattern that the present version of a reference must match; zero
	// means any.
	Present image.Pattern

	// Message replaces the commit's message above its trailers.
	Message string
	Source  Source
	// Caller is the name under which the request was authenticated.
	Caller string
	// At is the request's place in the order of those for its image: an older one is
	// superseded by a newer one that was applied before it. Zero is always new enough.
	At time.Time
	// Sent is the commit that an earlier try of this request announced to the Ledger,
	// and that may be on the branch; "" when there was none.
	Sent github.SHA
	// OverrideReason is why a freeze of the target does not count; it stands in the
	// commit's message.
	OverrideReason string
	// DryRun asks for the plan alone.
	DryRun bool
	// Hold is the id of the hold that was made for the request, and Passes are those of
	// others that do not stop it. The commit's message names Hold or else the first of
	// the others, with HoldReason.
	Hold       string
	Passes     []string
	HoldReason string
	// Rollback reports that the request goes back to a version that the target had.
	Rollback bool
	// Promotes is the id of the target whose versions the request takes over, "" for none.
	Promotes string
	// LeftOut are images that the caller asked for and that are none of Images.
	LeftOut []LeftOut
	// Mode is where the commit goes; "" leaves it to the target.
	Mode Mode
	// Heedless reports that nobody minds when no target names the images: it is a push of a
	// registry.
	Heedless bool
	// Retried reports that the request is tried again although somebody closed its pull
	// request.
	Retried bool

	// stored reports that the request came by Service.Apply.
	stored bool
	// proposal is the branch of the request's pull request; "" for a commit.
	proposal string
	// census is what the request's targets name.
	census *census
}

// LeftOut is an image that a request leaves out, and the code of the reason.
type LeftOut struct{ Image, Reason string }

// with returns the request with other images.
func (r Request) with(images []Image) Request {
	r.Images = images
	return r
}

// names are the images as they were spelled.
func names(images []Image) []string {
	texts := make([]string, len(images))
	for i, m := range images {
		texts[i] = m.Repository.String()
	}
	return texts
}

// Scope tells apart the requests for one image on one target that do not replace
// each other: those for different files or different present versions. It is empty
// for all of them, else 64 hexadecimal digits.
func (r *Request) Scope() string {
	if len(r.Paths) == 0 && r.Present.IsZero() {
		return ""
	}
	hash := sha256.New()
	for _, glob := range slices.Compact(slices.Sorted(slices.Values(r.Paths))) {
		fmt.Fprintf(hash, "%d:%s", len(glob), glob)
	}
	if !r.Present.IsZero() {
		fmt.Fprintf(hash, "present:%s", r.Present)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Source says where an image came from. Its fields are single lines and may be empty.
type Source struct {
	Repository string
	Revision   string
	URL        string
}

// Status says how a request ended on a target.
type Status string

// The ways in which a request ends well.
const (
	// Committed: one commit with every file is on the branch.
	Committed Status = "committed"
	// Proposed: a pull request with every file is open.
	Proposed Status = "proposed"
	// Unchanged: the image is named, and nothing was to be written.
	Unchanged Status = "unchanged"
	// Held: nothing was written, because holds are on all of the images, or a comment
	// holds each of the references.
	Held Status = "held"
	// Superseded: a later request for the same image was written in its place; of a
	// request for several images, later ones for each.
	Superseded Status = "superseded"
	// Planned: the answer to a dry run.
	Planned Status = "planned"
)

// Place says of a target where it is.
type Place struct {
	// ID names the target; Service.Apply takes it.
	ID string
	// Key is the same for targets on one branch, if they name it alike: one that
	// leaves a default branch's name out has another key than one that says it.
	Key string
	// Name is the target's own; empty when it has none.
	Name string
	Repo github.Repo
	// Branch is empty when it is the default one and was not read yet.
	Branch string
}

// String is owner/name@branch, as far as the branch is known, with the target's
// name before it.
func (p Place) String() string {
	text := p.Repo.String()
	if p.Branch != "" {
		text += "@" + p.Branch
	}
	if p.Name != "" {
		text = p.Name + " (" + text + ")"
	}
	return text
}

// Result is what a request came to on one target: Err, or all the rest.
type Result struct {
	// Place is the target's; its Repo and Branch are those that were read, if any was.
	Place
	Status Status
	// Commit is set when Status is Committed or Proposed. Requests that shared a commit have
	// the same one.
	Commit *github.Commit
	// Pull is the pull request of what was proposed, now or before.
	Pull *Pull
	// Standing reports that what is Proposed stood already, and nothing was written.
	Standing bool
	// Reason is why nothing was written: PullRequestClosed, or "".
	Reason string
	// Refused says what GitHub did not take of a pull request's labels, reviewers and the
	// like, and MergeError why it is not merged by itself. Merging reports that it will be,
	// once GitHub's rules allow it.
	Refused    []string
	MergeError string
	Merging    bool
	// Images are those of the request that were to be moved on the target. Of a result that
	// has no Err, Superseded are those among them that were left to later requests, and
	// Absent those that only other targets name; those that Holds cover were left out; the
	// others came to Status.
	Images, Superseded, Absent []Image
	// Holds are those that the request met. Their images were left out; in a dry run
	// they were not.
	Holds []Hold
	// Files are those that change, sorted by path.
	Files []File
	// MergedVersions are, sorted, the different versions that were in a file which
	// has only one of them now, the requested one: of each file in which the request
	// changes a reference and there were two or more.
	MergedVersions []string
	// Skipped are the references that were left alone, sorted by path and line.
	Skipped []Skip
	// Diff is a unified diff of Files, for a dry run alone.
	Diff string
	// Notes are sentences about what the caller may want to know.
	Notes []string
	// WouldDeny is what rules that are only watched would have denied of the request.
	WouldDeny []Denial
	// Denied is why the request would not be carried out, of a dry run alone.
	Denied error
	// Spent counts the requests to GitHub of the plan and the commit; those who
	// shared a commit have the same.
	Spent int
	// Err is why nothing was written; of this package, of github, or of a context.
	Err error

	planned []Image // the images that were not left to others
}

// StatusOf returns how an image of a request ended that has no Err; "" for one that only
// other targets name.
func (r *Result) StatusOf(m Image) Status {
	switch {
	case slices.ContainsFunc(r.Superseded, m.alike):
		return Superseded
	case slices.ContainsFunc(r.Holds, func(h Hold) bool { return h.covers(m) }):
		return Held
	case slices.ContainsFunc(r.Absent, m.alike):
		return ""
	}
	return r.Status
}

// Without returns the result without what changes of some images.
func (r Result) Without(images []Image) Result {
	files := r.Files
	r.Files = nil
	for _, f := range files {
		f.Changes = slices.DeleteFunc(slices.Clone(f.Changes), func(c Change) bool {
			return slices.ContainsFunc(images, func(m Image) bool { return m.Repository.String() == c.Image })
		})
		if len(f.Changes) > 0 {
			r.Files = append(r.Files, f)
		}
	}
	return r
}

// File is one file with the references that change in it.
type File struct {
	Path    string
	Changes []Change
	// before are the versions of the references that have the requested one now, each
	// once, sorted.
	before []string
}

// Change is one reference that changes.
type Change struct {
	manifest.Change
	// Image is the image that the reference names, as a request with a list of images
	// spells it; empty for another request.
	Image   string
	NamedIn NamedIn
}

// NamedIn is where an image is named whose version stands in another file; zero
// where it is the same file.
type NamedIn struct {
	Path string
	Line int
}

// Skip is a reference, or with Line 0 a file, that was left alone.
type Skip struct {
	Path   string
	Line   int
	Reason manifest.Reason
	// NamedIn is set where the version stands in another file than the name.
	NamedIn NamedIn
}

// WorkflowPermission is the reason for leaving a workflow file alone that the
// credential may not write.
const WorkflowPermission manifest.Reason = "workflow_permission"
