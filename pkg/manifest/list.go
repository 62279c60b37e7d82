package manifest

// List returns every image reference of one file and the places that look like
// one but say no image or no version, both in file order. A Skip has Update -1.
//
// References under keys that end in image, in fields that belong together and
// behind docker:// are found as Edit finds them. In other texts a reference must
// be spelled with its registry, because nothing else tells it from an address.
// Held references are listed like any other, ignored ones are not.
func List(content []byte, options Options) ([]Reference, []Skip) {
	f, reason := read(content, &wanted{all: true})
	if reason != "" {
		return nil, []Skip{{Update: -1, Reason: reason}}
	}
	var references []Reference
	var skips []Skip
	for _, s := range f.sites {
		switch {
		case options.SkipEmbedded && s.embedded:
		case s.literal():
			references = append(references, s.reference())
		default:
			skips = append(skips, Skip{Place: s.Place, Update: -1, Image: s.repo, Reason: s.reason})
		}
	}
	return references, skips
}

// literal reports whether a site says what it references, be it that it says
// nothing but a name.
func (s *site) literal() bool {
	switch s.reason {
	case Templated, Variable, Escaped:
		return false
	case Ambiguous:
		return s.tag != ""
	}
	return true
}
