package manifest

import (
	"cmp"
	"slices"
)

// application is the work of applying an editor's updates to one file.
type application struct {
	editor  *Editor
	file    *file
	last    lastRuns
	result  Result
	patches []patch
	// texts are the YAML texts inside scalars of which a pair was changed.
	texts []*innerText
}

// apply edits the sites of a file, and verifies the outcome before it returns it.
func (e *Editor) apply(f *file) Result {
	a := &application{editor: e, file: f, result: Result{Content: f.original, Namings: namingsOf(f.sites)}}
	several := e.severalVersions(f.sites)
	told := map[listOfUpdate]bool{}
	for _, s := range f.sites {
		key := listOfUpdate{s.list.node, s.update}
		switch {
		case e.options.SkipEmbedded && s.embedded:
		case s.list.node == nil || !several[key] || s.reason == Held || !s.list.releases && !e.updates[s.update].takes(s.tag):
			a.site(s)
		case !told[key]:
			told[key] = true
			a.skip(s, SeveralVersions)
		}
	}
	if len(a.result.Changes) == 0 {
		return a.result
	}
	edited := spliced(f.original, a.result.Changes)
	if !f.verify(edited, a.patches, a.texts) {
		a.withdraw()
		return a.result
	}
	a.result.Content = edited
	return a.result
}

// site moves one site, or adds a skip with the reason.
func (a *application) site(s *site) {
	u := &a.editor.updates[s.update]
	reason := s.reason
	if reason == DigestOnly && (!u.Digest.IsZero() || a.editor.options.Unpin && !s.digestOnly()) {
		reason = ""
	}
	if reason == DigestOnly && a.editor.options.Pin {
		reason = DigestUnknown
	}
	if (reason == DigestOnly || reason == DigestUnknown) && !u.takes(s.tag) {
		reason = OtherVersion
	}
	if reason != "" && !reason.literal() {
		a.skip(s, reason)
		return
	}
	pin := a.editor.options.Pin
	d := decide(s, u, pin)
	switch {
	case d.current && (s.tag != "" || s.digest != ""):
		a.result.Current = append(a.result.Current, Found{Place: s.Place, Update: s.update, Tag: s.tag, Digest: s.digest})
	case !u.takes(s.tag):
		a.skip(s, OtherVersion)
	case reason != "":
		a.skip(s, reason)
	case pin && u.Digest.IsZero():
		a.skip(s, DigestUnknown)
	case s.pinsOther && u.Digest.IsZero():
		a.skip(s, SharedAnchor)
	case pin && !s.pinnable():
		a.skip(s, Unpinnable)
	default:
		a.change(s, d)
	}
}

// literal reports whether a reference that is skipped for the reason still spells its
// version out, so that it counts as current if the version is the wanted one.
func (r Reason) literal() bool {
	switch r {
	case Held, SharedAnchor, NotUTF8, Unparsable, Signed, Overrides, OverrideAmbiguous:
		return true
	}
	return false
}

func (a *application) skip(s *site, reason Reason) {
	a.result.Skips = append(a.result.Skips, Skip{Place: s.Place, Update: s.update, Image: s.repo, Reason: reason})
}

// change adds a change, or a skip if the site's spelling cannot be replaced.
func (a *application) change(s *site, d decision) {
	c := Change{Place: s.Place, Update: s.update, From: s.tag, To: d.to, FromDigest: s.digest, ToDigest: d.toDigest}
	patches := d.patches
	for i, p := range patches {
		ok := true
		if s.text != nil {
			p, ok = s.text.outward(p)
			patches[i] = p
		}
		var sp Splice
		if ok {
			sp, ok = a.file.src.splice(p, a.last.of(a.file.src, p.node))
		}
		if !ok {
			a.skip(s, Escaped)
			return
		}
		c.Splices = append(c.Splices, sp)
	}
	sortSplices(c.Splices)
	a.result.Changes = append(a.result.Changes, c)
	a.patches = append(a.patches, patches...)
	if s.text != nil {
		a.texts = append(a.texts, s.text)
	}
}

// withdraw turns every change into a skip.
func (a *application) withdraw() {
	r := &a.result
	for _, c := range r.Changes {
		repo := a.editor.updates[c.Update].Image
		r.Skips = append(r.Skips, Skip{Place: c.Place, Update: c.Update, Image: repo, Reason: Unverified})
	}
	r.Changes = nil
	slices.SortStableFunc(r.Skips, func(x, y Skip) int {
		return cmp.Or(cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
}
