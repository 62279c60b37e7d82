package manifest

import "unicode/utf8"

// Override asks for the version that stands at a key without a name.
type Override struct {
	Key Key
	// Update is what the version becomes.
	Update Update
	// Reason keeps the version as it is: Overrides or OverrideAmbiguous. It is empty
	// for an edit.
	Reason Reason
}

// EditOverrides edits the versions of one file that overrides ask for. In the result,
// Update is the index of the override. Otherwise it does as Editor.Edit; the result of
// a file that the parser refuses is empty. The name is the path of the file.
func EditOverrides(name string, content []byte, overrides []Override, options Options) Result {
	f := readWhole(content)
	if f == nil || IsJSON(name) && f.checkJSON() != "" {
		return Result{Content: content}
	}
	e := &Editor{options: options}
	wanted := map[Key][]int{}
	for i, o := range overrides {
		e.updates = append(e.updates, o.Update)
		wanted[o.Key] = append(wanted[o.Key], i)
	}
	w := newWalk(f.src, &e.want)
	for _, g := range fieldGroups(f.docs) {
		if !g.lone() {
			continue
		}
		for _, kind := range []versionKind{tagKind, versionFieldKind} {
			for _, i := range wanted[Key{g.place, g.kinds & kind}] {
				w.override(&g, i, &overrides[i])
			}
		}
		if len(w.sites) > MaxReferences {
			return Result{Content: content}
		}
	}
	signed := signedFile(content, f.docs)
	for _, s := range w.sites {
		if signed || signedDocument(f.docs[s.Document]) {
			s.reason = Signed
		}
	}
	f.sites = direct(f.src, w.sites)
	sortSites(f.sites)
	return e.apply(f)
}

// readWhole parses a file; it is nil when no parser takes all of it.
func readWhole(content []byte) *file {
	if len(content) > MaxSize || separators(content) > maxSeparators || !utf8.Valid(content) {
		return nil
	}
	docs, err := parse(content)
	if err != nil {
		return nil
	}
	return &file{original: content, src: newSource(content), docs: docs, parsed: true}
}

// override adds the sites of a group that has a version and no name.
func (w *walk) override(g *fieldGroup, index int, o *Override) {
	w.document = g.document
	fields := g.versions
	if len(fields) == 0 {
		fields = []*field{g.digest}
	}
	lines := (&pair{versions: g.versions, digest: g.digest}).lines(nil, 0)
	for _, f := range fields[:min(len(fields), MaxReferences)] {
		s := &site{repo: o.Update.Image, update: index, field: true, node: resolve(f.value)}
		s.end = len(s.node.Value)
		if len(g.versions) > 0 {
			s.tag, s.digest, s.reason = splitVersion(s.node)
		} else {
			s.reason = DigestOnly
		}
		s.addDigest(g.digest)
		s.tagField, s.vacant = isTagKey(resolve(f.key).Value), g.vacant
		switch {
		case s.reason != "" && s.reason != DigestOnly:
		case sharesAnchor(f), g.digest != nil && sharesAnchor(g.digest):
			s.reason = SharedAnchor
		case g.registry != "" && g.registry != o.Update.Image.Domain():
			s.reason = OverrideAmbiguous
		case o.Reason != "":
			s.reason = o.Reason
		}
		s.lines = []*lineSet{lines}
		w.place(s, f.at, 0)
		w.sites = append(w.sites, s)
	}
}

// sharesAnchor reports whether the value of a field may be used elsewhere, too.
func sharesAnchor(f *field) bool {
	return f.merged || f.value != resolve(f.value) || f.value.Anchor != ""
}
