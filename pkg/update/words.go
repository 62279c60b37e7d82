package update

import (
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// pairShare is which part of the memory for the index of files is for pairs: few
// files have any.
const pairShare = 8

// pairIndex remembers of each blob of a family where it has pairs and versions
// without a name.
type pairIndex = *cache.Cache[github.SHA, manifest.Pairs]

func newPairIndex(limit int64) pairIndex {
	return cache.New[github.SHA](limit, func(p manifest.Pairs) int64 { return int64(p.Size()) + cache.Overhead })
}

// wordIndex remembers of each blob the words that may name an image. It is safe for
// concurrent use.
type wordIndex struct {
	known   *cache.Cache[github.SHA, manifest.Words]
	endings endings
}

func newWordIndex(limit int64) *wordIndex {
	return &wordIndex{known: cache.New[github.SHA](limit, func(w manifest.Words) int64 {
		return int64(w.Size()) + cache.Overhead
	}), endings: endings{seen: map[string]struct{}{}}}
}

func (x *wordIndex) get(sha github.SHA) (manifest.Words, bool) { return x.known.Get(sha) }

// learn indexes a blob that is not known yet.
func (x *wordIndex) learn(sha github.SHA, content []byte) {
	if _, ok := x.known.Get(sha); !ok { // the same content has the same words
		x.known.Put(sha, manifest.IndexWords(content))
		x.endings.learn(content)
	}
}

// Learn remembers of a file that somebody else read what updates need to know of it.
func (s *Service) Learn(sha github.SHA, content []byte) { s.words.learn(sha, content) }
