package update

import (
	"slices"
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

// timely returns the request without the images of which a newer request was carried
// out: in the same scope, or for all.
func (o *order) timely(target string, r Request) Request {
	if r.At.IsZero() {
		return r
	}
	scopes := []string{"", r.Scope()}
	o.mu.Lock()
	defer o.mu.Unlock()
	return r.with(slices.DeleteFunc(slices.Clone(r.Images), func(m Image) bool {
		return slices.ContainsFunc(scopes, func(scope string) bool {
			return r.At.Before(o.last(orderKey{target, m.Repository.Name(), scope}))
		})
	}))
}

// note remembers a request that was carried out, with these images.
func (o *order) note(target string, r Request, images []Image) {
	if r.At.IsZero() {
		return
	}
	scope := r.Scope()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range images {
		key := orderKey{target, m.Repository.Name(), scope}
		if o.last(key).Before(r.At) {
			o.young[key] = r.At
		}
		if len(o.young) >= orderSize {
			o.young, o.aged = map[orderKey]time.Time{}, o.young
		}
	}
}
