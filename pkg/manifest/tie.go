package manifest

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// tie says by a comment that the version of a line is that of a wanted image:
// "# versions-service: image NAME" behind it or above it, or as Renovate has it
// above it, "# renovate: datasource=docker depName=NAME".
type tie struct {
	repo    image.Repository
	spelled string
	update  int
	// found are the scalars of the line that hold a version.
	found []tied
}

// tied is a scalar that a tie may be about.
type tied struct {
	node *yaml.Node
	at   *step
}

// longestTie is how much of a comment is read.
const longestTie = 512

// tiesOf returns the ties of a file to wanted images, by the line of the version.
func tiesOf(src *source, want *wanted) map[int]*tie {
	if !bytes.Contains(src.content, directiveMark) && !bytes.Contains(src.content, []byte("renovate:")) {
		return nil
	}
	ties := map[int]*tie{}
	above := ""
	for n := 1; n <= len(src.lines); n++ {
		line := bytes.TrimRight(src.line(n), " \t\r\n")
		name, alone := tieIn(line)
		switch trimmed := bytes.TrimLeft(line, " \t"); {
		case alone && name != "":
			above = name
			continue
		case len(trimmed) == 0 || trimmed[0] == '#':
			continue
		case name == "":
			name = above
		}
		if above = ""; name == "" {
			continue
		}
		if repo, update, ok := want.match(name); ok {
			ties[n] = &tie{repo: repo, spelled: name, update: update}
		}
	}
	return ties
}

// tieIn returns the image that a comment of a line ties a version to, or "", and
// whether the comment stands alone.
func tieIn(line []byte) (name string, alone bool) {
	for at := 0; ; {
		hash := bytes.IndexByte(line[at:], '#')
		if hash < 0 {
			return "", false
		}
		hash += at
		at = hash + 1
		if hash > 0 && line[hash-1] != ' ' && line[hash-1] != '\t' {
			continue
		}
		comment := strings.TrimLeft(string(line[at:min(at+longestTie, len(line))]), " \t")
		alone = len(bytes.TrimLeft(line[:hash], " \t")) == 0
		if words, ok := strings.CutPrefix(comment, string(directiveMark)); ok {
			if f := strings.Fields(words); len(f) > 1 && f[0] == "image" {
				return f[1], alone
			}
		}
		if words, ok := strings.CutPrefix(comment, "renovate:"); ok && alone {
			return renovateName(words), alone
		}
	}
}

// renovateName returns the image that a comment of Renovate names, or "".
func renovateName(words string) string {
	settings := map[string]string{}
	for _, word := range strings.Fields(words) {
		if key, value, ok := strings.Cut(word, "="); ok {
			settings[key] = value
		}
	}
	if settings["datasource"] != "docker" {
		return ""
	}
	name := settings["packageName"]
	if name == "" {
		name = settings["depName"]
	}
	_, host, ok := strings.Cut(settings["registryUrl"], "://")
	if host = strings.Trim(host, "/"); ok && host != "" && !hasHost(name) {
		name = host + "/" + name
	}
	return name
}

// noteTied notes a scalar whose line, or one of whose lines, has a tie.
func (w *walk) noteTied(n *yaml.Node, at *step) {
	if n.Style&yaml.LiteralStyle != 0 {
		w.tiedLines(n, at)
		return
	}
	if t := w.ties[n.Line]; t != nil {
		if _, _, reason := splitVersion(n); reason != Ambiguous {
			t.found = append(t.found, tied{n, at})
		}
	}
}

// tiedSites makes the sites of the tied scalars. Of several in a line, the only one
// with the key of a version is meant.
func (w *walk) tiedSites() {
	for line, t := range w.ties {
		found := t.found
		if len(found) > 1 {
			versions := slices.DeleteFunc(slices.Clone(found), func(f tied) bool { return !isVersionKey(f.at.name()) })
			if len(versions) == 1 {
				found = versions
			}
		}
		if len(found) == 0 {
			continue
		}
		n := found[0].node
		s := &site{repo: t.repo, spelled: t.spelled, update: t.update, node: n, end: len(n.Value), field: true, tagField: isTagKey(found[0].at.name()), lines: []*lineSet{w.keyLines(n, found[0].at)}}
		if s.tag, s.digest, s.reason = splitVersion(n); len(found) > 1 {
			s.reason = Ambiguous
		}
		w.place(s, found[0].at, 0)
		w.tied = append(w.tied, s)
		delete(w.ties, line)
	}
}

func isVersionKey(key string) bool {
	_, r := splitKey(key)
	return r == tagRole || r == versionRole || r == newTagRole
}

// addTied adds the sites of ties to those of a document, which are the ones from
// first on. They take the places of what was found there for another image.
func (w *walk) addTied(first int) {
	byOffset := map[int]*site{}
	for _, s := range w.tied {
		byOffset[s.offset] = s
	}
	kept := slices.DeleteFunc(w.sites[first:], func(s *site) bool {
		own := byOffset[s.offset]
		if own != nil && own.repo.Equal(s.repo) {
			delete(byOffset, s.offset)
			return false
		}
		return own != nil
	})
	w.sites = w.sites[:first+len(kept)]
	for _, s := range w.tied {
		if byOffset[s.offset] == s {
			w.sites = append(w.sites, s)
		}
	}
	w.tied = nil
}

// tiedLines makes the sites of the tied lines of a text.
func (w *walk) tiedLines(n *yaml.Node, at *step) {
	start, ok := w.src.valueStart(n)
	if !ok {
		return
	}
	number, _ := w.src.lineColumn(start)
	offset := 0
	for line := range strings.Lines(n.Value) {
		number++
		if t := w.ties[number]; t != nil {
			if from, to, quote, ok := versionIn(line); ok {
				s := &site{
					repo: t.repo, spelled: t.spelled, update: t.update, node: n, name: offset + from, end: offset + to, span: true, quote: quote,
					lines: []*lineSet{w.keyLines(n, at)},
				}
				s.tag, s.digest, _ = strings.Cut(n.Value[s.name:s.end], "@")
				w.place(s, at, s.name)
				w.tied = append(w.tied, s)
			}
		}
		offset += len(line)
	}
}

// versionIn finds the version of a line of text such as TAG=1.2, tag: "1.2" or ENV
// TAG 1.2: the last word before a comment. It reports whether a YAML reader wants
// quotes where a version looks like a number.
func versionIn(line string) (from, to int, quote, ok bool) {
	if hash := strings.Index(line, " #"); hash >= 0 {
		line = line[:hash]
	}
	line = strings.TrimRight(line, " \t\r\n,;")
	to = len(line)
	if to > 0 && (line[to-1] == '"' || line[to-1] == '\'') {
		to--
		from = strings.LastIndexByte(line[:to], line[to]) + 1
	} else {
		from = strings.LastIndexAny(line, " \t=") + 1
		quote = strings.HasSuffix(strings.TrimRight(line[:from], " \t"), ":")
	}
	tag, digest, pinned := strings.Cut(line[from:to], "@")
	return from, to, quote, isTag(tag) && (!pinned || isDigest(digest))
}
