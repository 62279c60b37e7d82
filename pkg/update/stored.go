package update

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// storedVersion is the version of the stored form that this package writes. It
// grows only with a change that a program which knows the present one would
// misread: a field that is added keeps it. Rows without a version are older; they
// hold the same fields but for a problem in place of a failure.
const storedVersion = 1

// ErrStoredLater is wrapped by the error for a row whose version a later program
// wrote.
var ErrStoredLater = errors.New("it was stored by a later version of this program")

func checkVersion(v int) error {
	if v > storedVersion {
		return fmt.Errorf("%w (%d, and this one knows %d)", ErrStoredLater, v, storedVersion)
	}
	return nil
}

// storedRequest is what EncodeRequest writes. ID, Caller, At and Sent are the
// store's own, and a dry run is never stored. The image is that of a request without a
// list; one with a list has images, which a program that does not know them refuses to
// read, for want of an image.
type storedRequest struct {
	V int `json:"v"`
	storedImage
	Images     []storedImage `json:"images,omitempty"`
	Present    string        `json:"present,omitempty"`
	Repository string        `json:"repository,omitempty"`
	Branch     string        `json:"branch,omitempty"`
	Paths      []string      `json:"paths,omitempty"`
	Message    string        `json:"message,omitempty"`
	Source     storedSource  `json:"source,omitzero"`
	Hold       string        `json:"hold,omitempty"`
	Passes     []string      `json:"passes,omitempty"`
	HoldReason string        `json:"hold_reason,omitempty"`
	Override   string        `json:"override_reason,omitempty"`
	Rollback   bool          `json:"rollback,omitempty"`
	Promotes   string        `json:"promotes,omitempty"`
	LeftOut    []storedLeft  `json:"left_out,omitempty"`
	Mode       Mode          `json:"mode,omitempty"`
}

type storedLeft struct {
	Image  string `json:"image"`
	Reason string `json:"reason"`
}

type storedImage struct {
	Image   string         `json:"image,omitempty"` // as it was spelled
	Version string         `json:"version,omitempty"`
	Digest  string         `json:"digest,omitempty"`
	Permits []storedPermit `json:"permits,omitempty"`
}

type storedPermit struct {
	Target          string   `json:"target"`
	Rule            string   `json:"rule,omitempty"`
	RefuseDowngrade bool     `json:"refuse_downgrade,omitempty"`
	Rollback        bool     `json:"rollback,omitempty"`
	Watched         bool     `json:"watched,omitempty"`
	WouldDeny       []string `json:"would_deny,omitempty"`
	Closest         string   `json:"closest,omitempty"`
}

func storeImage(m Image) storedImage {
	s := storedImage{Image: m.Repository.String(), Version: m.Version.String(), Digest: m.Digest.String()}
	for _, p := range m.Permits {
		s.Permits = append(s.Permits, storedPermit(p))
	}
	return s
}

func (s storedImage) read() (m Image, err error) {
	for _, p := range s.Permits {
		m.Permits = append(m.Permits, Permit(p))
	}
	return m, errors.Join(
		parse("image", s.Image, &m.Repository, image.ParseRepository),
		parse("version", s.Version, &m.Version, image.ParseTag),
		parseSet("digest", s.Digest, &m.Digest, image.ParseDigest),
	)
}

type storedSource struct {
	Repository string `json:"repository,omitempty"`
	Revision   string `json:"revision,omitempty"`
	URL        string `json:"url,omitempty"`
}

// EncodeRequest returns what of a request outlasts the process. Targets are not
// part of it: whoever stores a request stores it for each of its targets.
func EncodeRequest(r Request) []byte {
	s := storedRequest{
		V: storedVersion, Present: r.Present.String(), Branch: r.Branch, Paths: r.Paths, Message: r.Message, Source: storedSource(r.Source),
		Hold: r.Hold, Passes: r.Passes, HoldReason: r.HoldReason, Override: r.OverrideReason, Rollback: r.Rollback, Promotes: r.Promotes, Mode: r.Mode,
	}
	for _, l := range r.LeftOut {
		s.LeftOut = append(s.LeftOut, storedLeft(l))
	}
	if r.Listed {
		for _, m := range r.Images {
			s.Images = append(s.Images, storeImage(m))
		}
	} else {
		s.storedImage = storeImage(r.Images[0])
	}
	if !r.Repo.IsZero() {
		s.Repository = r.Repo.String()
	}
	return encode(s)
}

// DecodeRequest reads the output of EncodeRequest, of this or an earlier version. The
// error names the field that is not understood.
func DecodeRequest(text []byte) (Request, error) {
	var s storedRequest
	if err := decode(text, &s); err != nil {
		return Request{}, fmt.Errorf("read the stored request: %w", err)
	}
	if err := checkVersion(s.V); err != nil {
		return Request{}, fmt.Errorf("read the stored request: %w", err)
	}
	r := Request{Listed: len(s.Images) > 0, Branch: s.Branch, Paths: s.Paths, Message: s.Message, Source: Source(s.Source), Mode: s.Mode}
	r.Hold, r.Passes, r.HoldReason, r.OverrideReason = s.Hold, s.Passes, s.HoldReason, s.Override
	r.Rollback, r.Promotes = s.Rollback, s.Promotes
	for _, l := range s.LeftOut {
		r.LeftOut = append(r.LeftOut, LeftOut(l))
	}
	if !r.Listed {
		s.Images = []storedImage{s.storedImage}
	}
	errs := []error{
		parseSet("present", s.Present, &r.Present, image.ParsePattern),
		parseSet("repository", s.Repository, &r.Repo, github.ParseRepo),
	}
	for _, stored := range s.Images {
		m, err := stored.read()
		r.Images = append(r.Images, m)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return Request{}, fmt.Errorf("read the stored request: %w", err)
	}
	return r, nil
}

func parse[T any](field, text string, into *T, read func(string) (T, error)) error {
	v, err := read(text)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	*into = v
	return nil
}

// parseSet is parse for a field that may be left out.
func parseSet[T any](field, text string, into *T, read func(string) (T, error)) error {
	if text == "" {
		return nil
	}
	return parse(field, text, into, read)
}

// storedResult is what EncodeResult writes.
type storedResult struct {
	V              int            `json:"v"`
	Name           string         `json:"name,omitempty"`
	Repository     string         `json:"repository,omitempty"`
	Branch         string         `json:"branch,omitempty"`
	Status         Status         `json:"status,omitempty"`
	Commit         *storedCommit  `json:"commit,omitempty"`
	Holds          []storedHold   `json:"holds,omitempty"`
	Files          []storedFile   `json:"files,omitempty"`
	MergedVersions []string       `json:"merged_versions,omitempty"`
	Notes          []string       `json:"notes,omitempty"`
	WouldDeny      []storedDenial `json:"would_deny,omitempty"`
	Skipped        []storedSkip   `json:"skipped,omitempty"`
	Pull           *storedPull    `json:"pull_request,omitempty"`
	Standing       bool           `json:"standing,omitempty"`
	Reason         string         `json:"reason,omitempty"`
	Refused        []string       `json:"refused,omitempty"`
	MergeError     string         `json:"merge_error,omitempty"`
	Merging        bool           `json:"merging,omitempty"`
	Failure        *storedFailure `json:"failure,omitempty"`
	// Problem is the failure of a row without a version.
	Problem *storedFailure `json:"problem,omitempty"`
}

// noRepository is how rows without a version write that the target is none any more.
const noRepository = "/"

// storedHold is a hold that the request met, as it was then.
type storedHold struct {
	ID     string `json:"id"`
	Image  string `json:"image"`
	Target string `json:"target"`

	Version string    `json:"version,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	By      string    `json:"by,omitempty"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until,omitzero"`
}

// storedCommit has the headline alone of a message: a commit that many updates
// share names each of them, and each of them would keep it all.
type storedCommit struct {
	SHA      github.SHA `json:"sha"`
	URL      string     `json:"url,omitempty"`
	Headline string     `json:"message"`
}

type storedPull struct {
	Number int    `json:"number"`
	URL    string `json:"url"`
	Branch string `json:"branch"`
	State  string `json:"state"`
}

type storedDenial struct {
	Image   string   `json:"image"`
	Rule    string   `json:"rule,omitempty"`
	Reasons []string `json:"reasons"`

	OnBranch bool `json:"on_branch,omitempty"`
}

type storedFile struct {
	Path    string         `json:"path"`
	Changes []storedChange `json:"changes"`
}

// storedPlace is where an image is named whose version stands in another file.
type storedPlace struct {
	Path string `json:"path"`
	Line int    `json:"line"`
}

type storedChange struct {
	Image      string `json:"image,omitempty"`
	Line       int    `json:"line"`
	Column     int    `json:"column"`
	Pointer    string `json:"pointer,omitempty"`
	From       string `json:"from"`
	To         string `json:"to"`
	FromDigest string `json:"from_digest,omitempty"`
	ToDigest   string `json:"to_digest,omitempty"`

	NamedIn storedPlace `json:"named_in,omitzero"`
}

type storedSkip struct {
	Path   string          `json:"path"`
	Line   int             `json:"line,omitempty"`
	Reason manifest.Reason `json:"reason"`

	NamedIn storedPlace `json:"named_in,omitzero"`
}

type storedFailure struct {
	Code       Code          `json:"code"`
	Detail     string        `json:"detail"`
	RetryAfter time.Duration `json:"retry_after,omitempty"` // in nanoseconds
	NotBefore  time.Time     `json:"not_before,omitzero"`
	Since      time.Time     `json:"since,omitzero"`
	Rule       string        `json:"rule,omitempty"`
	Reasons    []string      `json:"reasons,omitempty"`
	InDoubt    bool          `json:"in_doubt,omitempty"`
	Absent     bool          `json:"absent,omitempty"`
}

// EncodeResult returns what of a result outlasts the process: not its ID, Key and images,
// which the store has, nor Diff and Spent; of a commit's message the headline. Of one
// that failed it is the place and the Failure.
func EncodeResult(r Result) []byte {
	s := storedResult{V: storedVersion, Name: r.Name, Branch: r.Branch}
	if !r.Repo.IsZero() {
		s.Repository = r.Repo.String()
	}
	if r.Pull != nil {
		stored := storedPull(*r.Pull)
		s.Pull = &stored
	}
	s.Standing, s.Reason, s.Refused, s.MergeError, s.Merging = r.Standing, r.Reason, r.Refused, r.MergeError, r.Merging
	if f, failed := r.Failure(); failed {
		stored := storedFailure(f)
		s.Failure = &stored
		return encode(s)
	}
	s.Status, s.MergedVersions, s.Notes = r.Status, r.MergedVersions, r.Notes
	for _, d := range r.WouldDeny {
		s.WouldDeny = append(s.WouldDeny, storedDenial(d))
	}
	if r.Commit != nil {
		headline, _, _ := strings.Cut(r.Commit.Message, "\n")
		s.Commit = &storedCommit{SHA: r.Commit.SHA, URL: r.Commit.URL, Headline: headline}
	}
	for _, h := range r.Holds {
		s.Holds = append(s.Holds, storedHold(h))
	}
	for _, f := range r.Files {
		file := storedFile{Path: f.Path, Changes: []storedChange{}}
		for _, c := range f.Changes {
			file.Changes = append(file.Changes, storedChange{
				Image: c.Image, Line: c.Line, Column: c.Column, Pointer: c.Pointer, From: c.From, To: c.To,
				FromDigest: c.FromDigest, ToDigest: c.ToDigest, NamedIn: storedPlace(c.NamedIn),
			})
		}
		s.Files = append(s.Files, file)
	}
	for _, skip := range r.Skipped {
		s.Skipped = append(s.Skipped, storedSkip{
			Path: skip.Path, Line: skip.Line, Reason: skip.Reason, NamedIn: storedPlace(skip.NamedIn),
		})
	}
	return encode(s)
}

// DecodeResult reads the output of EncodeResult, of this or an earlier version. Err of a
// failed Result is not the original error, but has the same Failure.
func DecodeResult(text []byte) (Result, error) {
	var s storedResult
	if err := decode(text, &s); err != nil {
		return Result{}, fmt.Errorf("read the stored result: %w", err)
	}
	if err := checkVersion(s.V); err != nil {
		return Result{}, fmt.Errorf("read the stored result: %w", err)
	}
	r := Result{Status: s.Status, MergedVersions: s.MergedVersions, Notes: s.Notes}
	for _, d := range s.WouldDeny {
		r.WouldDeny = append(r.WouldDeny, Denial(d))
	}
	r.Name, r.Branch = s.Name, s.Branch
	r.Standing, r.Reason, r.Refused, r.MergeError, r.Merging = s.Standing, s.Reason, s.Refused, s.MergeError, s.Merging
	if s.Pull != nil {
		pull := Pull(*s.Pull)
		r.Pull = &pull
	}
	if s.Repository == noRepository {
		s.Repository = ""
	}
	if err := parseSet("repository", s.Repository, &r.Repo, github.ParseRepo); err != nil {
		return Result{}, fmt.Errorf("read the stored result: %w", err)
	}
	if s.Commit != nil {
		r.Commit = &github.Commit{SHA: s.Commit.SHA, URL: s.Commit.URL, Message: s.Commit.Headline}
	}
	for _, h := range s.Holds {
		r.Holds = append(r.Holds, Hold(h))
	}
	for _, f := range s.Files {
		file := File{Path: f.Path}
		for _, c := range f.Changes {
			change := Change{Image: c.Image, NamedIn: NamedIn(c.NamedIn)}
			change.Place = manifest.Place{Line: c.Line, Column: c.Column, Pointer: c.Pointer}
			change.From, change.To, change.FromDigest, change.ToDigest = c.From, c.To, c.FromDigest, c.ToDigest
			file.Changes = append(file.Changes, change)
		}
		r.Files = append(r.Files, file)
	}
	for _, skip := range s.Skipped {
		r.Skipped = append(r.Skipped, Skip{Path: skip.Path, Line: skip.Line, Reason: skip.Reason, NamedIn: NamedIn(skip.NamedIn)})
	}
	if failure := cmp.Or(s.Failure, s.Problem); failure != nil {
		r.Err = &storedError{failure: Failure(*failure)}
	}
	return r, nil
}

// encode is for values of this file, which can always be encoded.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func decode(text []byte, into any) error {
	if len(text) == 0 {
		return errors.New("there is none")
	}
	return json.Unmarshal(text, into)
}
