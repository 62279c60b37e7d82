package update

import (
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// pairIndex remembers of each blob of a family where it has pairs and versions
// without a name.
type pairIndex = *cache.Cache[github.SHA, manifest.Pairs]

func newPairIndex(memory *cache.Budget) pairIndex {
	return cache.New(memory, "pairs", github.SHA.Key, func(p manifest.Pairs) int64 { return int64(p.Size()) + cache.Overhead })
}

// wordIndex remembers of each blob the words that may name an image. It is safe for
// concurrent use.
type wordIndex struct {
	known   *cache.Cache[github.SHA, manifest.Words]
	endings endings
}

func newWordIndex(memory *cache.Budget) *wordIndex {
	return &wordIndex{known: cache.New(memory, "words", github.SHA.Key, func(w manifest.Words) int64 {
		return int64(w.Size()) + cache.Overhead
	}), endings: endings{seen: map[string]struct{}{}}}
}

func (x *wordIndex) get(sha github.SHA) (manifest.Words, bool) { return x.known.Get(sha) }

// learn indexes a blob that is not known yet, and returns its words.
func (x *wordIndex) learn(sha github.SHA, content []byte) manifest.Words {
	if words, ok := x.known.Get(sha); ok { // the same content has the same words
		return words
	}
	words := manifest.IndexWords(content)
	x.known.Put(sha, words)
	x.endings.learn(content)
	return words
}

// Learn remembers of a file that somebody else read what updates need to know of it.
func (s *Service) Learn(sha github.SHA, content []byte) { s.words.learn(sha, content) }
