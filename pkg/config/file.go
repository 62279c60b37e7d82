package config

import (
	"fmt"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// File is a configuration file, read and checked.
type File struct {
	Targets  []Target
	Webhooks []Webhook
	Callers  []Caller
	// Rules say what callers may do. HasRules tells no rules at all, which allow
	// everything, from an empty list, which allows nothing.
	Rules    []Rule
	HasRules bool
	Queue    Queue
	Limits   Limits
}

// Target is a branch that updates are written to, and what of it they may touch.
type Target struct {
	// Name is unique, regardless of case. Without one of its own a target is named
	// owner/name, or owner/name@branch when the file names the branch.
	Name string
	// Repository is owner/name.
	Repository string
	// Branch is empty for the repository's default branch.
	Branch string
	// Include and Exclude are valid doublestar globs over paths from the
	// repository's root. A file is the target's when one of Include matches it, or
	// there is none, and none of Exclude does.
	Include, Exclude []string
	// Images are valid doublestar globs over normalised image names, such as
	// docker.io/library/nginx; none means every image.
	Images []string
	// Present is a pattern that the present version of a reference must match; its
	// zero value is none.
	Present image.Pattern
	// Files are kinds of files, "yaml" and "json", each one once; none means yaml alone.
	Files []string
	// Overrides is "report", "edit" or "ignore", what becomes of versions that stand in
	// another file than the image's name; empty for report.
	Overrides string
	// Embedded says that references inside of text are the target's as well, such
	// as those in scripts and arguments. It is true unless the file says false.
	Embedded bool
	// Unpin says that a digest that stands alone, as in NAME@sha256:…, becomes the
	// version also when no digest is given. The file says it as pin_digests: false.
	Unpin bool
	// Proxies are prefixes of names that stand for a registry, each one once.
	Proxies []Proxy
	// Message makes the commit's message; its zero value is none of its own.
	Message Message
	// RefuseMessages reports that callers' messages are refused: message: off.
	RefuseMessages bool
	// Author is nil for the service's own.
	Author *Author
}

// Proxy says which registry's images are named by another host, or by the beginning
// of a path there. Both are beginnings of names without a slash at their end.
type Proxy struct{ Prefix, Registry string }

// Author is who a commit says that it is by.
type Author struct{ Name, Email string }

// String returns the author as Name <mail>.
func (a Author) String() string { return fmt.Sprintf("%s <%s>", a.Name, a.Email) }

// Webhook is a registry, or another sender, that tells of pushes.
type Webhook struct {
	// Name is the last part of the path that it sends to: unique, up to 63 lower-case
	// letters, digits and hyphens.
	Name string
	// Kind is the format that it sends in; which kinds there are, Options.CheckWebhook knows.
	Kind string
	// Secrets are those by which it may authenticate itself: at least one, but none
	// for the kind gar. Those that Options gave no way to look up are empty.
	Secrets []Secret
	// Registry is host[:port] in place of what the payload says or lacks; "" for none.
	Registry string
	// Images are valid doublestar globs over normalised image names; none means every image.
	Images []string
	// Rewrite maps names, or beginnings of them, that the payload has to those that manifests have.
	Rewrite []Rewrite
	// Tags says which tags are taken.
	Tags Tags
	// Present is a pattern that the version must match which a push replaces; its
	// zero value is none.
	Present image.Pattern
	// Targets are names of targets, each one known; none means every target.
	Targets []string
	// Audience and ServiceAccount are what the token of the kind gar must hold; "" for other kinds.
	Audience, ServiceAccount string
	// Generic is nil for every kind but generic.
	Generic *Generic
}

// Rewrite maps an image's name, or the whole components that it begins with.
type Rewrite struct{ From, To string }

// Tags takes those tags that match. At most one of its fields is set; the zero
// value takes every tag.
type Tags struct {
	// Regexp is a regular expression of package regexp. It is not anchored.
	Regexp string
	// Semver is a range of github.com/Masterminds/semver/v3, such as ">=1.2, <2".
	Semver string
}

// Generic says where a payload of the kind generic has what. Each place is a JSON
// pointer (RFC 6901) into the body; "" says that the body has no such thing.
type Generic struct {
	// Image and Version are always set.
	Image, Version   string
	Digest, Time, ID string
	// Bearer says that the secret comes as a bearer token; without it Signature is set.
	Bearer bool
	// Signature says where the body's HMAC-SHA256 is; it is nil with Bearer.
	Signature *Signature
}

// Signature is a header that holds an HMAC-SHA256 in hexadecimal digits, and
// what stands before them.
type Signature struct{ Header, Prefix string }

// Queue holds the figures of the durable queue.
type Queue struct {
	// Retention is how long an ended update is kept; zero for the queue's default.
	Retention time.Duration
	// MaxWaiting is how many updates may wait; zero for the queue's default.
	MaxWaiting int
	// MaxHistory is how many bytes of ended updates are kept; zero for the queue's default.
	MaxHistory int64
}

// Limits bound what comes from outside.
type Limits struct {
	// WebhookBody is the most bytes of a webhook's body; zero for the server's default.
	WebhookBody int64
	// Bodies is the most bytes that the bodies of webhooks which prove nothing yet
	// take together, and as many for all other bodies; zero for the server's default.
	Bodies int64
}
