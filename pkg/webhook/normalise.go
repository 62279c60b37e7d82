package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

const (
	// maxID is the longest id of an event in bytes; senders use UUIDs.
	maxID = 200
	// maxDropped is how many reasons a delivery holds: a body of a mebibyte has
	// room for ten thousand events.
	maxDropped = 10
	// maxReasons is how many of them Ignored joins, to stay one sentence.
	maxReasons = 3
	// maxAhead is how far a registry's clock may be ahead. Pushes are ordered by
	// time, and one of the far future would outdate all that follow.
	maxAhead = time.Hour
	// noTag is why most events that name a manifest are not pushes.
	noTag = "untagged"
	// noEvents is why a body without any event is ignored.
	noEvents = "no event in the payload"
)

// normalise checks what was read and makes pushes of it. It stops at MaxPushes,
// so that its memory has a bound; its time is linear in the events.
func (s *Source) normalise(read reading) Delivery {
	d := Delivery{Reply: read.reply, Hint: read.hint}
	if d.Hint != nil {
		d.Ignored = read.ignored
		return d
	}
	if read.events == nil {
		d.Ignored, d.Dropped = read.ignored, []string{read.ignored}
		return d
	}
	seen := make(map[Push]bool)
	for e := range read.events {
		push, dropped := s.push(e)
		if dropped.why != "" {
			d.drop(dropped)
			continue
		}
		if key := push.key(); !seen[key] {
			if len(d.Pushes) == MaxPushes {
				return tooMany(d.Pushes[0])
			}
			seen[key] = true
			d.Pushes = append(d.Pushes, push)
		}
	}
	number(d.Pushes)
	d.Pushes = slices.DeleteFunc(d.Pushes, func(p Push) bool {
		why := s.filter(p)
		d.drop(why)
		return why.why != ""
	})
	if len(d.Pushes) > 0 {
		d.Refusal = ""
		return d
	}
	d.Pushes, d.Ignored = nil, noEvents
	if n := len(d.Dropped); n > 0 {
		d.Ignored = strings.Join(d.Dropped[:min(n, maxReasons)], "; ")
	}
	return d
}

// drop is why an event is not a push of the source.
type drop struct {
	why     string
	refusal Refusal
}

// push checks one event, and returns why it is not a push if it is none. An event that is a push and
// cannot be read becomes an unusable one, so that somebody sees it.
func (s *Source) push(e event) (Push, drop) {
	switch {
	case e.skip != "":
		return Push{}, drop{why: e.skip}
	case e.tag == "" || isDigest(e.tag):
		return Push{}, drop{why: noTag}
	case attachmentTag.MatchString(e.tag):
		return Push{}, drop{why: "a signature or another attachment"}
	case e.repository == "":
		return Push{}, drop{why: "the payload names no repository"}
	}
	if why := s.naming.refuse(e); why != "" {
		return Push{}, drop{why: why, refusal: OtherRegistry}
	}
	p := Push{ID: cleanID(e.id), Time: s.plausible(e.time)}
	var err error
	if p.Tag, err = image.ParseTag(e.tag); err != nil {
		return p.unusable(e, err.Error()), drop{}
	}
	if e.digest != "" {
		if p.Digest, err = image.ParseDigest(e.digest); err != nil {
			return p.unusable(e, err.Error()), drop{}
		}
	}
	if p.Image, err = s.naming.name(e); err != nil {
		return p.unusable(e, err.Error()), drop{}
	}
	if p.Image.IsZero() {
		return p.unusable(e, noHost), drop{}
	}
	return p, drop{}
}

// unusable is the push of an event that cannot become an update.
func (p Push) unusable(e event, why string) Push {
	host := strings.ToLower(e.host)
	if !isHost(host) {
		host = ""
	}
	p.Name, p.Version = plain(join(host, strings.ToLower(e.repository))), plain(e.tag)
	p.Unusable = safetext.Line(why, maxReason)
	return p
}

// tooMany stands for a delivery with more than MaxPushes pushes.
func tooMany(first Push) Delivery {
	if first.Unusable == "" {
		first.Name, first.Version, first.Image = first.Image.Name(), first.Tag.String(), image.Repository{}
	}
	first.Unusable = fmt.Sprintf("the delivery holds more than %d pushes, and nothing of it was taken; "+
		"send the versions that matter with POST /v1/updates", MaxPushes)
	return Delivery{Pushes: []Push{first}}
}

// key is what tells pushes apart: image, tag and digest.
func (p Push) key() Push {
	return Push{Image: p.Image, Tag: p.Tag, Digest: p.Digest, Name: p.Name, Version: p.Version}
}

// filter returns why the source's own settings keep a push out.
func (s *Source) filter(p Push) drop {
	switch {
	case p.Unusable != "":
		return drop{}
	case !s.tags.Takes(p.Tag.String()):
		return drop{why: "the tag " + p.Tag.String() + " does not pass the filter"}
	case !s.naming.takes(p.Image):
		return drop{why: "the image " + p.Image.Name() + " is none of the source's images", refusal: OtherImage}
	}
	return drop{}
}

// plausible returns a time in UTC, or zero for one that no push can have.
func (s *Source) plausible(t time.Time) time.Time {
	if t.Year() < firstYear || t.After(s.now().Add(maxAhead)) {
		return time.Time{}
	}
	return t.UTC()
}

func (d *Delivery) drop(dropped drop) {
	if d.Refusal == "" {
		d.Refusal = dropped.refusal
	}
	d.Drop(dropped.why)
}

// number gives pushes of one event distinct ids. It runs before the filter, so that
// a change of the filter does not change them.
func number(pushes []Push) {
	next := make(map[string]int, len(pushes))
	taken := make(map[string]bool, len(pushes))
	for i := range pushes {
		id := pushes[i].ID
		if id == "" {
			continue
		}
		for taken[pushes[i].ID] {
			next[id]++
			pushes[i].ID = cleanID(id + "#" + strconv.Itoa(next[id]+1))
		}
		taken[pushes[i].ID] = true
	}
}

// cleanID returns the id itself when it is short and printable, else its hash.
func cleanID(id string) string {
	for _, r := range id {
		if r <= ' ' || r > '~' {
			return hashed(id)
		}
	}
	if len(id) > maxID {
		return hashed(id)
	}
	return id
}

func hashed(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// attachmentTag is what cosign and ORAS tag signatures, attestations and lists of
// contents with: the digest of the image that they belong to (OCI distribution
// specification 1.1, referrers tag schema).
var attachmentTag = regexp.MustCompile(`^sha(256-[0-9a-f]{64}|512-[0-9a-f]{128})(\.[a-z0-9]+)?$`)

// isDigest reports whether a tag is a digest, which is how registries report a push
// without a tag.
func isDigest(tag string) bool {
	return strings.HasPrefix(tag, "sha256:") || strings.HasPrefix(tag, "sha512:")
}
