package update

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

const (
	// maxNear bounds the names that an answer suggests.
	maxNear = 3
	// maxMentions and mentionBytes bound the number and the size of the files that one
	// plan keeps for suggestions: files with the last part of an image's name and
	// without the whole name.
	maxMentions  = 16
	mentionBytes = 64 << 10
	// maxEndings bounds the last parts of names that are remembered to correct a
	// misspelt one, and maxEnding the length of each in bytes.
	maxEndings = 4096
	maxEnding  = 128
	// maxTypos bounds the distance of a misspelt last part.
	maxTypos = 2
)

// mention is a file that holds the last part of an image's name.
type mention struct {
	path    string
	content []byte
}

// keepMention keeps the file for a suggestion if its path is among the first
// maxMentions in alphabetical order.
func (p *plan) keepMention(path string, content []byte) {
	if len(content) > mentionBytes {
		return
	}
	at, _ := slices.BinarySearchFunc(p.mentions, path, func(m mention, path string) int { return strings.Compare(m.path, path) })
	if at == maxMentions {
		return
	}
	p.mentions = slices.Insert(p.mentions, at, mention{path, content})
	p.mentions = p.mentions[:min(len(p.mentions), maxMentions)]
}

// endings remembers the last parts of image names in files. It is safe for concurrent
// use.
type endings struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

// learn remembers the last parts in a file. Beyond maxEndings, arbitrary others are
// forgotten.
func (e *endings) learn(content []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ending := range manifest.NameEndings(content) {
		if len(ending) > maxEnding {
			continue
		}
		if len(e.seen) >= maxEndings {
			for other := range e.seen {
				delete(e.seen, other)
				break
			}
		}
		e.seen[ending] = struct{}{}
	}
}

// like returns the last parts within maxTypos of a word, the nearest first.
func (e *endings) like(word string) []string {
	type candidate struct {
		text  string
		typos int
	}
	var near []candidate
	e.mu.Lock()
	for text := range e.seen {
		if d := len(text) - len(word); text == word || d > maxTypos || d < -maxTypos {
			continue
		}
		if typos := distance(text, word); typos <= maxTypos && typos*3 <= len(word) {
			near = append(near, candidate{text, typos})
		}
	}
	e.mu.Unlock()
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.typos, b.typos), strings.Compare(a.text, b.text))
	})
	var texts []string
	for _, c := range near[:min(len(near), maxNear)] {
		texts = append(texts, c.text)
	}
	return texts
}

// distance returns the Levenshtein distance of two texts in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// findNear finds suggestions for images that no file names: images with the same last
// part, and then images with nearly the same one, for which it reads at most maxNear
// files.
func (s *Service) findNear(ctx context.Context, p *plan) {
	for i := range p.findings {
		if len(p.findings[i].named) > 0 {
			continue
		}
		wanted := p.wanted[i].Repository
		var found []image.Repository
		for _, m := range p.mentions {
			found = append(found, manifest.Similar(m.path, m.content, wanted.Base())...)
		}
		if len(found) == 0 {
			found = s.misspelt(ctx, p, wanted)
		}
		p.findings[i].near = nearest(wanted, found)
	}
}

// misspelt returns images whose last part is nearly the wanted one's. It ignores files
// that cannot be read: an answer must not fail for a suggestion.
func (s *Service) misspelt(ctx context.Context, p *plan, wanted image.Repository) (found []image.Repository) {
	var entries []github.Entry
	var bases []string
	for _, base := range s.words.endings.like(wanted.Base()) {
		at := slices.IndexFunc(p.snapshot.Entries, func(entry github.Entry) bool {
			words, ok := s.words.get(entry.SHA)
			return ok && words.MayHold(base) && entry.Mode != github.ModeSymlink && entry.Size <= mentionBytes &&
				p.target.takesKind(entry.Path) && p.target.takesFile(entry.Path)
		})
		if at >= 0 {
			entries = append(entries, p.snapshot.Entries[at])
			bases = append(bases, base)
		}
	}
	_ = p.target.Repository.Read(ctx, p.snapshot, entries, func(i int, content []byte) error {
		return guard(func() error {
			found = append(found, manifest.Similar(entries[i].Path, content, bases[i])...)
			return nil
		})
	})
	return found
}

// nearest returns the names that are most like the wanted one, without duplicates.
func nearest(wanted image.Repository, found []image.Repository) []string {
	found = slices.DeleteFunc(found, wanted.Equal)
	slices.SortFunc(found, func(a, b image.Repository) int {
		return cmp.Or(cmp.Compare(distance(a.Name(), wanted.Name()), distance(b.Name(), wanted.Name())), strings.Compare(a.Name(), b.Name()))
	})
	found = slices.CompactFunc(found, image.Repository.Equal)
	var names []string
	for _, repo := range found[:min(len(found), maxNear)] {
		names = append(names, repo.String())
	}
	return names
}
