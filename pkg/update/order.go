package update

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// orderSize is how many images' last requests are remembered; what was not used
// for the longest time goes first. Requests that overtake each other do so within
// seconds.
const orderSize = 4096

// order remembers when the request came, or the image was pushed, that was applied
// last. Who stores requests puts them into order as well, but hears of those that
// come by Service.Update only when they have ended. It is safe for concurrent use.
type order struct {
	mu   sync.Mutex
	last *simplelru.LRU[orderKey, time.Time]
}

type orderKey struct{ target, image, scope string }

func newOrder() *order {
	last, err := simplelru.NewLRU[orderKey, time.Time](orderSize, nil)
	if err != nil {
		panic(err) // only a size below one is refused
	}
	return &order{last: last}
}

// late tells whether a newer request was applied: in the same scope, or for all.
func (o *order) late(target string, r Request) bool {
	if r.At.IsZero() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, scope := range []string{"", r.Scope()} {
		if at, ok := o.last.Get(orderKey{target, r.Image.Name(), scope}); ok && r.At.Before(at) {
			return true
		}
	}
	return false
}

// applied remembers a request that was applied.
func (o *order) applied(target string, r Request) {
	if r.At.IsZero() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	key := orderKey{target, r.Image.Name(), r.Scope()}
	if at, ok := o.last.Get(key); !ok || at.Before(r.At) {
		o.last.Add(key, r.At)
	}
}
