package update

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// entryOverhead is about what the index itself takes for each blob, in bytes.
const entryOverhead = 160

// wordIndex remembers of each blob the words that may name an image. What was
// not used for the longest time goes first. It is safe for concurrent use.
type wordIndex struct {
	limit int64

	mu   sync.Mutex
	lru  *simplelru.LRU[github.SHA, manifest.Words]
	size int64
}

func newWordIndex(limit int64) *wordIndex {
	x := &wordIndex{limit: max(limit, 0)}
	lru, err := simplelru.NewLRU(math.MaxInt, func(_ github.SHA, w manifest.Words) { x.size -= sizeOf(w) })
	if err != nil {
		panic(err) // only a size below one is refused
	}
	x.lru = lru
	return x
}

func sizeOf(w manifest.Words) int64 { return int64(w.Size()) + entryOverhead }

func (x *wordIndex) get(sha github.SHA) (w manifest.Words, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.lru.Get(sha)
}

// learn indexes a blob that is not known yet.
func (x *wordIndex) learn(sha github.SHA, content []byte) {
	if _, ok := x.get(sha); ok {
		return // the same content has the same words
	}
	w := manifest.IndexWords(content)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.lru.Contains(sha) {
		return // somebody else was quicker
	}
	x.lru.Add(sha, w)
	for x.size += sizeOf(w); x.size > x.limit; {
		x.lru.RemoveOldest()
	}
}
