package webhook

import (
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Delivery is what an authentic request came to: pushes, or the reason for
// which there are none.
type Delivery struct {
	// Pushes are distinct in image, tag and digest, in the payload's order.
	Pushes []Push
	// Ignored is one short sentence without a full stop that says why there are no
	// pushes; empty when there are.
	Ignored string
	// Dropped says for each event that became no push why not, each reason once
	// and the first ten of them, also when there are others that did.
	Dropped []string
	// Reply, when it is not nil, is the body that the sender wants as JSON with
	// status 200 and no other. There are no pushes then.
	Reply any
}

// Push is one tag that was put on one image.
type Push struct {
	// Image is zero when Unusable says why.
	Image image.Repository
	// Tag is never zero.
	Tag image.Tag
	// Digest is zero when the sender does not tell it.
	Digest image.Digest
	// ID is the same each time the sender tells of the same event, and differs
	// between the pushes of a delivery; empty when the sender has none. It is
	// printable ASCII and at most 200 bytes long.
	ID string
	// Time is when the registry took the push, in UTC; zero when the sender does
	// not tell, or tells a time that cannot be.
	Time time.Time
	// Name is the image as far as the payload tells it, when Unusable is set.
	Name string
	// Unusable says why a real push names no image, and the fix, without a full
	// stop; empty otherwise.
	Unusable string
}

// reading is what a sender's file makes of a body.
type reading struct {
	events []event
	// ignored is why there are no events, when the whole body is none.
	ignored string
	reply   any
}

// event is one event in a payload, in the payload's own words: nothing in it is
// checked yet.
type event struct {
	// skip is why this is no push; the other fields do not matter then.
	skip string
	// host is the registry's, or empty when the payload does not name it.
	host string
	// repository is the image's name below the host.
	repository string
	// within is a name between host and repository that pulls need not have, for
	// rewriting alone: Nexus's repository.
	within string
	tag    string
	digest string
	id     string
	time   time.Time
}

func ignored(why string) reading { return reading{ignored: why} }

func skipped(why string) event { return event{skip: why} }

// noPush skips an event by the word that its sender has for what happened.
func noPush(what string) event {
	if what == "" {
		return skipped("the payload does not say that it is a push")
	}
	return skipped(quote(what) + " is no push")
}
