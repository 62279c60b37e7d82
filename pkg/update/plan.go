package update

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// checkEvery is after how many files a plan looks whether its time is over.
const checkEvery = 256

// plan is what a set of requests would change on a target's snapshot.
type plan struct {
	target   *target
	snapshot *github.Snapshot
	requests []Request
	files    []plannedFile // that change, sorted by path
	findings []finding     // one for each request
	namings  []naming      // the pairs that name a request's image
	mentions []mention     // files for suggestions, sorted by path
}

// plannedFile is a file before and after its edit.
type plannedFile struct {
	entry         github.Entry
	before, after []byte
}

// finding is what was found of one request's image.
type finding struct {
	named   map[string]bool // the paths of the files that name the image
	files   []File
	skipped []Skip
	near    []string // images that may be meant, when no file names the request's
}

// plan reads the files of the snapshot that may name an image and edits them in
// memory. Nothing is written.
func (s *Service) plan(ctx context.Context, t *target, snapshot *github.Snapshot, requests []Request) (*plan, error) {
	p := &plan{target: t, snapshot: snapshot, requests: requests, findings: make([]finding, len(requests))}
	editors, err := newEditors(&t.Target, requests)
	if err != nil {
		return nil, err
	}

	var entries []github.Entry
	var by []*editor // the editor of each entry
	for i, entry := range snapshot.Entries {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if entry.Mode != github.ModeSymlink && !s.mayName(entry, editors.all) {
			continue // before the globs, which cost much more than this
		}
		ed := editors.of(entry)
		switch {
		case ed == nil || entry.Mode == github.ModeSymlink:
		case entry.Size > manifest.MaxSize:
			p.skipFile(entry, ed.requests, manifest.TooLarge)
		case s.mayName(entry, ed):
			entries = append(entries, entry)
			by = append(by, ed)
		}
	}
	err = t.Repository.Read(ctx, snapshot, entries, func(i int, content []byte) error {
		return guard(func() error {
			s.words.learn(entries[i].SHA, content)
			p.edit(entries[i], by[i], content)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	if err := s.findOverrides(ctx, p); err != nil {
		return nil, err
	}
	if err := p.findLinks(ctx, editors); err != nil {
		return nil, err
	}
	s.findNear(ctx, p)
	p.sort()
	return p, nil
}

// mayName reports whether the blob may name one of the editor's images, from what
// is remembered of it; a blob that was never read may.
func (s *Service) mayName(entry github.Entry, ed *editor) bool {
	words, ok := s.words.get(entry.SHA)
	return !ok || ed.MayMatch(words)
}

// edit takes one file into the plan.
func (p *plan) edit(entry github.Entry, ed *editor, content []byte) {
	if !ed.Mentions(content) {
		return
	}
	result := ed.EditFile(entry.Path, content)
	if len(result.Changes)+len(result.Current)+len(result.Skips) == 0 {
		p.keepMention(entry.Path, content)
		return
	}
	changes := map[int][]Change{}
	for _, c := range result.Changes {
		changes[c.Update] = append(changes[c.Update], Change{Change: c})
	}
	for _, n := range result.Namings {
		p.namings = append(p.namings, naming{request: ed.requests[n.Update], path: entry.Path, line: n.Line, key: n.Key})
	}
	for update, cs := range changes {
		f := p.finding(ed, update, entry)
		f.files = append(f.files, File{Path: entry.Path, Changes: cs, before: versionsBefore(&result, update)})
	}
	for _, current := range result.Current {
		p.finding(ed, current.Update, entry)
	}
	for _, skip := range result.Skips {
		if skip.Update < 0 {
			p.skipFile(entry, ed.mentioned(content), skip.Reason)
			continue
		}
		f := p.finding(ed, skip.Update, entry)
		f.skipped = append(f.skipped, Skip{Path: entry.Path, Line: skip.Line, Reason: skip.Reason})
	}
	if len(result.Changes) > 0 {
		p.files = append(p.files, plannedFile{entry: entry, before: content, after: result.Content})
	}
}

// versionsBefore are the versions of the references to the update's image that have
// the wanted one after the edit, each once, sorted.
func versionsBefore(r *manifest.Result, update int) []string {
	var before []string
	for _, c := range r.Changes {
		if c.Update == update && c.From != "" {
			before = append(before, c.From)
		}
	}
	for _, current := range r.Current {
		if current.Update == update && current.Tag != "" {
			before = append(before, current.Tag)
		}
	}
	slices.Sort(before)
	return slices.Compact(before)
}

// finding returns what was found of the editor's update, whose image the file names.
func (p *plan) finding(ed *editor, update int, entry github.Entry) *finding {
	f := &p.findings[ed.requests[update]]
	if f.named == nil {
		f.named = map[string]bool{}
	}
	f.named[entry.Path] = true
	return f
}

// skipFile lists a whole file for each of the requests.
func (p *plan) skipFile(entry github.Entry, requests []int, reason manifest.Reason) {
	for _, r := range requests {
		p.findings[r].skipped = append(p.findings[r].skipped, Skip{Path: entry.Path, Reason: reason})
	}
}

func (p *plan) sort() {
	slices.SortFunc(p.files, func(a, b plannedFile) int { return strings.Compare(a.entry.Path, b.entry.Path) })
	for i := range p.findings {
		slices.SortFunc(p.findings[i].files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
		slices.SortFunc(p.findings[i].skipped, bySkip)
	}
}

func bySkip(a, b Skip) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
}

// tooLarge is the number of files that were too large to look into.
func (f *finding) tooLarge() int {
	n := 0
	for _, s := range f.skipped {
		if s.Reason == manifest.TooLarge {
			n++
		}
	}
	return n
}

// writes reports whether the plan changes any file.
func (p *plan) writes() bool { return len(p.files) > 0 }

// land commits the plan, if it writes anything, and returns a Result for each request.
// The commit is announced to the ledger before the branch moves.
func (s *Service) land(ctx context.Context, p *plan) ([]Result, error) {
	if !p.writes() {
		return p.results(nil), nil
	}
	changes := github.Changeset{Message: p.message(), Author: p.target.Author}
	changes.BeforeRef = func(ctx context.Context, sha github.SHA) error { return s.announce(ctx, p.target, sha, p.requests) }
	for _, f := range p.files {
		changes.Edits = append(changes.Edits, github.Edit{Path: f.entry.Path, Mode: f.entry.Mode, Content: f.after})
	}
	commit, err := p.target.Repository.Commit(ctx, p.snapshot, changes)
	if err != nil {
		return nil, err
	}
	return p.results(&commit), nil
}

// results turns the findings into answers, given the commit that the plan
// became or nil.
func (p *plan) results(commit *github.Commit) []Result {
	results := make([]Result, len(p.requests))
	for i, f := range p.findings {
		results[i] = p.result(p.requests[i], f, commit)
	}
	return results
}

func (p *plan) result(r Request, f finding, commit *github.Commit) Result {
	result := Result{Place: p.target.place(), Status: Unchanged, Files: f.files, Skipped: f.skipped}
	result.Repo, result.Branch = p.snapshot.Repo, p.snapshot.Branch
	if len(f.named) == 0 {
		result.Err = &NotReferencedError{
			Image: r.Image.String(), Repo: result.Repo, Branch: result.Branch,
			Narrowed: len(r.Paths) > 0 || p.target.narrowed(), Unread: f.tooLarge(), Near: f.near,
		}
		return result
	}
	if commit != nil {
		result.leaveOut(commit.LeftOut)
	}
	result.MergedVersions = mergedVersions(result.Files)
	if commit != nil && len(result.Files) > 0 {
		result.Status, result.Commit = Committed, commit
	}
	return result
}

// mergedVersions are the versions that one file had several of.
func mergedVersions(files []File) []string {
	var merged []string
	for _, f := range files {
		if len(f.before) > 1 {
			merged = append(merged, f.before...)
		}
	}
	slices.Sort(merged)
	return slices.Compact(merged)
}

// leaveOut moves files that the credential may not write to the skipped ones.
func (r *Result) leaveOut(paths []string) {
	if len(paths) == 0 {
		return
	}
	var kept []File
	for _, f := range r.Files {
		if !slices.Contains(paths, f.Path) {
			kept = append(kept, f)
			continue
		}
		for _, c := range f.Changes {
			r.Skipped = append(r.Skipped, Skip{Path: f.Path, Line: c.Line, Reason: WorkflowPermission})
		}
	}
	r.Files = kept
	slices.SortFunc(r.Skipped, bySkip)
}
