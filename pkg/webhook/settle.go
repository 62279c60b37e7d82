package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

const (
	// maxID is the longest id of an event in bytes; senders use UUIDs.
	maxID = 200
	// maxDropped is how many reasons a delivery tells: a body of a mebibyte has
	// room for ten thousand events.
	maxDropped = 10
	// maxReasons is how many of them Ignored joins, to stay a sentence.
	maxReasons = 3
	// maxAhead is how far a registry's clock may be ahead. Pushes are ordered by
	// time, and one of the far future would outdate all that follow.
	maxAhead = time.Hour
	// noTag is why most events that name a manifest are no pushes.
	noTag = "untagged"
	// noEvents is why a body without any event is ignored.
	noEvents = "no event in the payload"
)

// settle checks what was read and makes pushes of it.
func (s *Source) settle(read reading) Delivery {
	d := Delivery{Reply: read.reply}
	if read.ignored != "" {
		d.drop(read.ignored)
	}
	seen := make(map[[3]string]bool, len(read.events))
	for _, e := range read.events {
		push, why := s.push(e)
		if why != "" {
			d.drop(why)
			continue
		}
		if key := [3]string{push.Image.Name() + push.Name, push.Tag.String(), push.Digest.String()}; !seen[key] {
			seen[key] = true
			d.Pushes = append(d.Pushes, push)
		}
	}
	number(d.Pushes)
	d.Pushes = slices.DeleteFunc(d.Pushes, func(p Push) bool {
		if s.tags.Takes(p.Tag.String()) {
			return false
		}
		d.drop("the tag " + p.Tag.String() + " does not pass the filter")
		return true
	})
	if len(d.Pushes) > 0 {
		return d
	}
	d.Pushes, d.Ignored = nil, noEvents
	if n := len(d.Dropped); n > 0 {
		d.Ignored = strings.Join(d.Dropped[:min(n, maxReasons)], "; ")
	}
	return d
}

// push checks one event, or says why it is no push.
func (s *Source) push(e event) (Push, string) {
	switch {
	case e.skip != "":
		return Push{}, e.skip
	case e.tag == "" || isDigest(e.tag):
		return Push{}, noTag
	case attachmentTag.MatchString(e.tag):
		return Push{}, "a signature or another attachment"
	case e.repository == "":
		return Push{}, "the payload names no repository"
	}
	p := Push{ID: cleanID(e.id), Time: s.plausible(e.time)}
	var err error
	if p.Tag, err = image.ParseTag(e.tag); err != nil {
		return Push{}, err.Error()
	}
	if e.digest != "" {
		if p.Digest, err = image.ParseDigest(e.digest); err != nil {
			return Push{}, err.Error()
		}
	}
	if p.Image, p.Name, err = s.naming.name(e); err != nil {
		return Push{}, err.Error()
	}
	if p.Image.IsZero() {
		p.Unusable = noHost
	}
	return p, ""
}

// plausible returns a time in UTC, or zero for one that no push can have.
func (s *Source) plausible(t time.Time) time.Time {
	if t.Year() < firstYear || t.After(s.now().Add(maxAhead)) {
		return time.Time{}
	}
	return t.UTC()
}

func (d *Delivery) drop(why string) {
	if len(d.Dropped) < maxDropped && !slices.Contains(d.Dropped, why) {
		d.Dropped = append(d.Dropped, why)
	}
}

// number tells pushes of one event apart. It comes before the filter, so that
// another filter does not give a push another's id.
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

// isDigest reports whether a tag is a digest: how registries tell of what was
// pushed without one.
func isDigest(tag string) bool {
	return strings.HasPrefix(tag, "sha256:") || strings.HasPrefix(tag, "sha512:")
}
