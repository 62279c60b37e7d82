package config

import (
	"fmt"
	"strings"
	"time"
)

// Freeze is a span of time that begins again and again, in which nothing is written to
// a target.
type Freeze struct {
	// Schedule has five fields, as in crontab(5); Options.CheckTarget knows them.
	Schedule string
	Duration time.Duration
	// Timezone is a name of the IANA time zone database, "" for UTC.
	Timezone string
	// Reason may be "".
	Reason string
}

// RegistryCheck is how the registry of an image is asked for the version before it is
// written.
type RegistryCheck struct {
	// Check is CheckOff, CheckTag, CheckDigest, or "" for CheckOff.
	Check string
	// Allow reports whether a version is written although the registry does not answer.
	Allow bool
}

// What a registry is asked for.
const (
	CheckOff    = "off"
	CheckTag    = "tag"
	CheckDigest = "digest"
)

// Registry is a host that may have an address that is not public.
type Registry struct {
	// Host is host[:port], as images name it.
	Host string
	// Insecure reports whether it may be asked by http://.
	Insecure bool
}

// Limits of a target's freezes, and of the list of registries.
const (
	// maxFreezes bounds the windows that each update is compared with.
	maxFreezes = 20
	// maxReason is how many bytes of a reason an answer has room for.
	maxReason = 500
	// maxFreeze bounds a window: what lasts longer is frozen, or another schedule.
	maxFreeze = 366 * 24 * time.Hour
	// maxRegistries is above what one network has.
	maxRegistries = 1000
)

// gates are the keys that say when and what a target takes.
func (t *Target) gates() []field {
	return []field{
		{name: "frozen", read: parsed(&t.Frozen, reason)},
		{name: "freeze", read: freezes(&t.Freeze)},
		{name: "versions", read: t.Versions.read},
		{name: "downgrade", read: downgrade(&t.RefuseDowngrade)},
		{name: "registry", read: object(
			field{name: "check", read: parsed(&t.Registry.Check, choice(CheckOff, CheckTag, CheckDigest))},
			field{name: "on_error", read: func(v value) {
				var word string
				parsed(&word, choice("fail", "allow"))(v)
				t.Registry.Allow = word == "allow"
			}},
		)},
	}
}

// downgrade reads allow or refuse.
func downgrade(refuse *bool) func(value) {
	return func(v value) {
		var word string
		parsed(&word, choice("allow", "refuse"))(v)
		*refuse = word == "refuse"
	}
}

func freezes(into *[]Freeze) func(value) {
	return func(v value) {
		list(into, func(f *Freeze) func(value) {
			return object(
				field{name: "schedule", required: true, read: parsed(&f.Schedule, oneLine)},
				field{name: "duration", required: true, read: duration(&f.Duration, time.Second, maxFreeze)},
				field{name: "timezone", read: parsed(&f.Timezone, oneLine)},
				field{name: "reason", read: parsed(&f.Reason, reason)},
			)
		})(v)
		if len(*into) > maxFreezes {
			v.refuse("has %d windows: at most %d are taken", len(*into), maxFreezes)
			*into = nil
		}
	}
}

// reason reads a reason that answers show.
func reason(text string) (string, error) {
	if len(text) > maxReason {
		return "", fmt.Errorf("has %d bytes: a reason has at most %d", len(text), maxReason)
	}
	return oneLine(strings.TrimSpace(text))
}

func registries(into *[]Registry) func(value) {
	return func(v value) {
		list(into, func(r *Registry) func(value) {
			return object(
				field{name: "host", required: true, read: parsed(&r.Host, ParseRegistry)},
				field{name: "insecure", read: boolean(&r.Insecure)},
			)
		})(v)
		if len(*into) > maxRegistries {
			v.refuse("has %d entries: at most %d are taken", len(*into), maxRegistries)
			*into = nil
			return
		}
		seen := make(map[string]bool, len(*into))
		for i, r := range *into {
			if r.Host != "" && seen[r.Host] {
				key := v.inside(fmt.Sprintf("[%d].host", i), v.node).key
				v.add(&Error{Line: v.lines[key], Key: key, Detail: quote(r.Host) + " stands above already"})
			}
			seen[r.Host] = true
		}
	}
}
