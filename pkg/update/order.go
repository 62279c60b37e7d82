package update

import (
	"sync"
	"time"
)

// orderSize is how many images' last requests are remembered at least. Requests that
// overtake each other do so within seconds.
const orderSize = 4096

// order remembers when the request came, or the image was pushed, that was applied
// last. Who stores requests puts them into order as well, but hears of those that
// come by Service.Update only when they have ended. It is safe for concurrent use.
type order struct {
	mu          sync.Mutex
	young, aged map[orderKey]time.Time // young becomes aged when it is full
}

type orderKey struct{ target, image, scope string }

func newOrder() *order { return &order{young: map[orderKey]time.Time{}} }

// last returns when the request was made that was applied last, zero when none is
// remembered. o.mu is held.
func (o *order) last(key orderKey) time.Time {
	if at, ok := o.young[key]; ok {
		return at
	}
	return o.aged[key]
}

// late tells whether a newer request was applied: in the same scope, or for all.
func (o *order) late(target string, r Request) bool {
	if r.At.IsZero() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, scope := range []string{"", r.Scope()} {
		if r.At.Before(o.last(orderKey{target, r.Image.Name(), scope})) {
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
	if o.last(key).Before(r.At) {
		o.young[key] = r.At
	}
	if len(o.young) == orderSize {
		o.young, o.aged = map[orderKey]time.Time{}, o.young
	}
}
