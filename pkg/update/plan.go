package update

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/span"
)

// checkEvery is after how many files a plan looks whether its time is over.
const checkEvery = 256

// plan is what a set of requests would change on a target's snapshot.
type plan struct {
	target   *target
	snapshot *github.Snapshot
	requests []Request
	wanted   []wanted      // the images of the requests, each once
	parts    [][]int       // of each request, the index in wanted of each of its images
	files    []plannedFile // that change, sorted by path
	findings []finding     // one for each of wanted
	namings  []naming      // the pairs that name a wanted image
	mentions []mention     // files for suggestions, sorted by path
	answers  []answer      // of registries, for each of wanted; none where nobody is asked
	judged   int           // how many of the requests, the first ones, the gate judges and the ledger is told
	verdicts []verdict     // for each request; none before the plan is judged
}

// plannedFile is a file before and after its edit.
type plannedFile struct {
	entry         github.Entry
	before, after []byte
}

// finding is what was found of one image.
type finding struct {
	named   map[string]bool // the paths of the files that name the image
	files   []File
	current int // the references that have the version already
	skipped []Skip
	near    []string // images that may be meant, when no file names it
}

// newPlan is an empty plan for requests that do not contradict each other.
func newPlan(t *target, snapshot *github.Snapshot, requests []Request) *plan {
	p := &plan{target: t, snapshot: snapshot, requests: requests, judged: len(requests), parts: make([][]int, len(requests))}
	at := map[scoped]int{}
	for i, r := range requests {
		scope := r.Scope()
		for _, m := range r.Images {
			key := scoped{m.Repository.Name(), scope}
			n, ok := at[key]
			if !ok {
				n = len(p.wanted)
				at[key] = n
				p.wanted = append(p.wanted, wanted{Image: m, paths: r.Paths, present: r.Present})
			}
			p.parts[i] = append(p.parts[i], n)
		}
	}
	p.findings = make([]finding, len(p.wanted))
	return p
}

// plan reads the files of the snapshot that may name an image and edits them in
// memory. Nothing is written.
func (s *Service) plan(ctx context.Context, t *target, snapshot *github.Snapshot, requests []Request) (_ *plan, err error) {
	ctx, step := span.Start(ctx, "plan")
	defer func() { step.End(err) }()
	p := newPlan(t, snapshot, requests)
	if err := s.fill(ctx, p); err != nil {
		return nil, err
	}
	s.roster.note(p)
	return p, nil
}

// fill makes an empty plan.
func (s *Service) fill(ctx context.Context, p *plan) error {
	editors, err := newEditors(&p.target.Target, p.wanted)
	if err != nil {
		return err
	}
	if err := s.editFiles(ctx, p, editors, func() error { return nil }); err != nil {
		return err
	}
	if err := s.findOverrides(ctx, p); err != nil {
		return err
	}
	if err := p.findLinks(ctx, editors); err != nil {
		return err
	}
	s.findNear(ctx, p)
	p.sort()
	return nil
}

// editFiles takes the files that may name an image into the plan, and calls edited after
// each, whose error ends it.
func (s *Service) editFiles(ctx context.Context, p *plan, editors *editors, edited func() error) error {
	t, snapshot := p.target, p.snapshot
	var entries []github.Entry
	var by []*editor // the editor of each entry
	for i, entry := range snapshot.Entries {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if entry.Mode != github.ModeSymlink && !s.mayName(entry, editors.all) {
			continue // before the globs, which cost much more than this
		}
		ed := editors.of(entry)
		switch {
		case ed == nil || entry.Mode == github.ModeSymlink:
		case entry.Size > manifest.MaxSize:
			p.skipFile(entry, ed.wanted, manifest.TooLarge)
		case s.mayName(entry, ed):
			entries = append(entries, entry)
			by = append(by, ed)
		}
	}
	return t.Repository.Read(ctx, snapshot, entries, func(i int, content []byte) error {
		return guard(func() error {
			if by[i].MayMatch(s.words.learn(entries[i].SHA, content)) {
				p.edit(entries[i], by[i], content)
			}
			return edited()
		})
	})
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
		p.namings = append(p.namings, naming{wanted: ed.wanted[n.Update], path: entry.Path, line: n.Line, key: n.Key})
	}
	for update, cs := range changes {
		f := p.finding(ed, update, entry)
		f.files = append(f.files, File{Path: entry.Path, Changes: cs, before: versionsBefore(&result, update)})
	}
	for _, current := range result.Current {
		p.finding(ed, current.Update, entry).current++
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
	f := &p.findings[ed.wanted[update]]
	if f.named == nil {
		f.named = map[string]bool{}
	}
	f.named[entry.Path] = true
	return f
}

// skipFile lists a whole file for each of the images.
func (p *plan) skipFile(entry github.Entry, images []int, reason manifest.Reason) {
	for _, i := range images {
		p.findings[i].skipped = append(p.findings[i].skipped, Skip{Path: entry.Path, Reason: reason})
	}
}

func (p *plan) sort() {
	slices.SortFunc(p.files, func(a, b plannedFile) int { return strings.Compare(a.entry.Path, b.entry.Path) })
	for i := range p.findings {
		slices.SortFunc(p.findings[i].files, byPath)
		slices.SortFunc(p.findings[i].skipped, bySkip)
	}
}

func byPath(a, b File) int { return strings.Compare(a.Path, b.Path) }

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
func (s *Service) land(ctx context.Context, p *plan) (_ []Result, err error) {
	if !p.writes() {
		return p.results(nil), nil
	}
	ctx, step := span.Start(ctx, "commit")
	defer func() { step.End(err) }()
	before := s.beforeRead()
	commit, err := p.target.Repository.Commit(ctx, p.snapshot, p.changeset(s))
	if err != nil {
		return nil, err
	}
	p.target.branch.note(before, commit.SHA)
	return p.results(&commit), nil
}

// changeset is what the plan writes. Its commit is announced to the ledger before the
// branch moves.
func (p *plan) changeset(s *Service) github.Changeset {
	return github.Changeset{
		Edits: p.edits(), Message: p.message(), Author: p.target.Author,
		BeforeRef: func(ctx context.Context, sha github.SHA) error {
			return s.announce(ctx, p.target, sha, p.requests[:p.judged])
		},
	}
}

func (p *plan) edits() []github.Edit {
	edits := make([]github.Edit, len(p.files))
	for i, f := range p.files {
		edits[i] = github.Edit{Path: f.entry.Path, Mode: f.entry.Mode, Content: f.after}
	}
	return edits
}

// place is the target's, as the snapshot shows it.
func (p *plan) place() Place { return p.target.placeIn(p.snapshot) }

// results turns the findings into answers, given the commit that the plan
// became or nil.
func (p *plan) results(commit *github.Commit) []Result {
	results := make([]Result, len(p.requests))
	for i := range p.requests {
		results[i] = p.result(i, commit)
	}
	if commit != nil {
		p.shareMessage(results)
	}
	return results
}

func (p *plan) result(request int, commit *github.Commit) Result {
	result := Result{Place: p.place(), Status: Unchanged, planned: p.requests[request].Images}
	result.Files, result.Skipped = p.found(request)
	if !slices.ContainsFunc(p.parts[request], p.isNamed) {
		result.Err = p.notReferenced(request, p.requests[request].Images)
		return result
	}
	for n, part := range p.parts[request] {
		if !p.isNamed(part) {
			result.Absent = append(result.Absent, p.requests[request].Images[n])
		}
	}
	if commit != nil {
		result.leaveOut(commit.LeftOut)
	}
	result.MergedVersions = p.mergedVersions(request, result.Files)
	if len(p.verdicts) > 0 {
		result.Notes, result.WouldDeny = p.verdicts[request].notes, p.verdicts[request].watched
	}
	switch {
	case commit != nil && len(result.Files) > 0:
		result.Status, result.Commit = Committed, commit
	case p.allHeld(request):
		result.Status = Held
	}
	return result
}

// notReferenced returns the error of a request of which nobody names these images.
func (p *plan) notReferenced(request int, images []Image) error {
	r := p.requests[request]
	e := &NotReferencedError{
		Images: names(images), Repo: p.snapshot.Repo, Branch: p.snapshot.Branch, Narrowed: len(r.Paths) > 0 || p.target.narrowed(),
		Partly: slices.ContainsFunc(p.parts[request], p.isNamed),
	}
	for n, part := range p.parts[request] {
		if !p.isNamed(part) && slices.ContainsFunc(images, r.Images[n].alike) {
			e.Near = append(e.Near, p.findings[part].near...)
			e.Unread = max(e.Unread, p.findings[part].tooLarge())
		}
	}
	e.Near = e.Near[:min(len(e.Near), maxNear)]
	return e
}

// found joins what was found of each image of a request: the files, each once, and what
// is skipped, where each file that is skipped as a whole stands once.
func (p *plan) found(request int) (files []File, skipped []Skip) {
	r := p.requests[request]
	var all []File
	for n, part := range p.parts[request] {
		for _, f := range p.findings[part].files {
			f.Changes = slices.Clone(f.Changes)
			for i := range f.Changes {
				if r.Listed {
					f.Changes[i].Image = r.Images[n].Repository.String()
				}
			}
			all = append(all, f)
		}
		skipped = append(skipped, p.findings[part].skipped...)
	}
	slices.SortStableFunc(all, byPath)
	for _, f := range all {
		if n := len(files); n > 0 && files[n-1].Path == f.Path {
			files[n-1].Changes = append(files[n-1].Changes, f.Changes...)
			continue
		}
		files = append(files, f)
	}
	for _, f := range files {
		slices.SortStableFunc(f.Changes, byPlace)
	}
	slices.SortStableFunc(skipped, bySkip)
	skipped = slices.CompactFunc(skipped, func(a, b Skip) bool { return a.Line == 0 && a == b })
	return files, skipped
}

func byPlace(a, b Change) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// mergedVersions are the versions that one of the files had several of, for one image.
func (p *plan) mergedVersions(request int, files []File) []string {
	changed := map[string]bool{}
	for _, f := range files {
		changed[f.Path] = true
	}
	var merged []string
	for _, part := range p.parts[request] {
		for _, f := range p.findings[part].files {
			if changed[f.Path] && len(f.before) > 1 {
				merged = append(merged, f.before...)
			}
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
