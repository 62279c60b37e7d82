package update

import (
	"sync"
	"time"
)

// orderSize is how many images' last requests are remembered at least. Requests that
// overtake each other do so within seconds.
const orderSize = 4096

// order remembers of each image and scope the newest request that this process has
// carried out: one of the rules by which the newest push wins, see the package's
// documentation. It is safe for concurrent use.
type order struct {
	mu          sync.Mutex
	young, aged map[orderKey]time.Time // young becomes aged when it is full
}

type orderKey struct{ target, image, scope string }

func newOrder() *order { return &order{young: map[orderKey]time.Time{}} }

// last returns the place of the newest request that was carried out, zero when none is
// remembered. o.mu is held.
func (o *order) last(key orderKey) time.Time {
	if at, ok := o.young[key]; ok {
		return at
	}
	return o.aged[key]
}

// late reports whether a newer request was carried out: in the same scope, or for all.
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

// note remembers a request that was carried out.
func (o *order) note(target string, r Request) {
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
