package webhook

import (
	"iter"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Delivery is the outcome of an authentic request: pushes, or the reason why
// there are none.
type Delivery struct {
	// Pushes are distinct in image, tag and digest, in the payload's order; at most
	// MaxPushes.
	Pushes []Push
	// Ignored is the reason for there being no pushes, as one short sentence without a
	// full stop; empty when there are.
	Ignored string
	// Refusal is set beside Ignored when the source's own bounds kept a push out.
	Refusal Refusal
	// Dropped are the reasons for which events became no push, each once and at most ten of
	// them, also when other events did become pushes.
	Dropped []string
	// Reply, when it is not nil, is the JSON body that the sender wants with status
	// 200, in place of any other. There are no pushes then.
	Reply any
	// Hint, when it is not nil, is where something has changed. There are no pushes then.
	Hint *Hint
}

// Drop adds a reason to Dropped, unless it is there already, there are ten, or it is empty.
func (d *Delivery) Drop(why string) {
	if why != "" && len(d.Dropped) < maxDropped && !slices.Contains(d.Dropped, why) {
		d.Dropped = append(d.Dropped, why)
	}
}

// Refusal names which bound of a source kept a push out.
type Refusal string

// The bounds of a source.
const (
	// OtherRegistry: the push is of another registry than the source's.
	OtherRegistry Refusal = "other_registry"
	// OtherImage: no glob of Options.Images matches the image.
	OtherImage Refusal = "other_image"
)

// MaxPushes is how many pushes a delivery may hold. Registries send one, or one
// for each tag; each becomes an update of its own. A delivery with more holds one
// push that is Unusable, and none of its others.
const MaxPushes = 100

// Push is one tag that was put on one image.
type Push struct {
	// Image is zero only when Unusable has the reason.
	Image image.Repository
	// Tag is zero only when it cannot be read, which is then Unusable.
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

	// Unusable is the reason for which a real push cannot become an update, and the fix,
	// without a full stop; empty otherwise.
	Unusable string
	// Name and Version are image and tag in the payload's own words, as short
	// lines of printable text, when Unusable is set.
	Name, Version string
}

// reading is what a sender's file makes of a body.
type reading struct {
	// events yields the events one by one, so that a body full of them takes no
	// memory for each; nil when there are none, for the reason in ignored.
	events  iter.Seq[event]
	ignored string
	reply   any
	hint    *Hint
}

// event is one event in a payload, in the payload's own words: nothing in it is
// checked yet.
type event struct {
	// skip is why this is not a push; the other fields do not matter then.
	skip string
	// host is the registry's, or empty when the payload does not name it.
	host string
	// inferred reports that host follows from the kind, and not from a name in the
	// payload.
	inferred bool
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

// single is the reading of a body that holds one event.
func single(e event) reading {
	return reading{events: func(yield func(event) bool) { yield(e) }}
}

func skipped(why string) event { return event{skip: why} }

// noPush skips an event, with the sender's word for what happened.
func noPush(what string) event {
	if what == "" {
		return skipped("the payload does not say that it is a push")
	}
	return skipped(quote(what) + " is not a push")
}
