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
	// Rules allow callers to move images. HasRules reports whether the file has a list
	// of rules: an empty list allows nothing, no list allows everything.
	Rules    []Rule
	HasRules bool
	// Audit reports whether the rules are only watched: policy: audit in the file.
	Audit bool
	// Registries may have addresses that are not public.
	Registries []Registry
	// Notify are told how updates end.
	Notify []Notify
	Queue  Queue
	Limits Limits
}

// Target is a branch that updates are written to, with the files and images that they
// may touch.
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
	// Overrides is "report", "edit" or "ignore": the treatment of versions in another
	// file than the image's name. Empty means report.
	Overrides string
	// Embedded reports whether references inside of text, such as scripts and
	// arguments, are edited as well. It is true unless the file has false.
	Embedded bool
	// Unpin reports whether a digest without a version, as in NAME@sha256:…, is replaced
	// by the version when the request has no digest: pin_digests: false in the file.
	Unpin bool
	// PinDigests reports that a digest goes behind each version: pin_digests: true.
	PinDigests bool
	// Proxies are prefixes of names that stand for a registry, each one once.
	Proxies []Proxy
	// Frozen is the reason for which nothing is written, "" for none, and Freeze are the
	// times at which nothing is.
	Frozen string
	Freeze []Freeze
	// Versions narrows the versions, and RefuseDowngrade refuses versions that are lower
	// than a present one.
	Versions        Tags
	RefuseDowngrade bool
	// Registry is how the image's registry is asked for the version.
	Registry RegistryCheck
	// Message is the template of the commit's message; zero means the service's own.
	Message Message
	// RefuseMessages reports whether callers' messages are refused: message: off in the
	// file.
	RefuseMessages bool
	// Author is nil for the service's own.
	Author *Author
	// Mode is "commit" or "pull_request": where commits go. Empty means commit.
	Mode string
	// PullRequest says what pull requests are like.
	PullRequest PullRequest
}

// Proxy maps a prefix of image names to the registry that the prefix stands for. Both
// are beginnings of names, without a slash at the end.
type Proxy struct{ Prefix, Registry string }

// Author is the author of a commit.
type Author struct{ Name, Email string }

// String returns the author as Name <mail>.
func (a Author) String() string { return fmt.Sprintf("%s <%s>", a.Name, a.Email) }

// Webhook is a registry, or another sender, that reports pushes.
type Webhook struct {
	// Name is the last part of the path that it sends to: unique, up to 63 lower-case
	// letters, digits and hyphens.
	Name string
	// Kind is the format of its payload; Options.CheckWebhook knows the kinds.
	Kind string
	// Secrets are the secrets that it may send: at least one, but none for the kind
	// gar. Secrets that Options has no function to look up are empty.
	Secrets []Secret
	// Registry is host[:port] in place of the payload's; "" for none.
	Registry string
	// Images are valid doublestar globs over normalised image names; none means every image.
	Images []string
	// Rewrite maps names, or prefixes of names, of the payload to those of manifests.
	Rewrite []Rewrite
	// Tags selects the tags that are taken.
	Tags Tags
	// Present is a pattern that the version must match before a push replaces it; its
	// zero value is none.
	Present image.Pattern
	// Targets are names of targets, each one known; none means every target.
	Targets []string
	// Audience and ServiceAccount are required of the token of the kind gar; "" for
	// other kinds.
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

// Generic locates the values in a payload of the kind generic. Each place is a JSON
// pointer (RFC 6901) into the body, or "" for a value that the body lacks.
type Generic struct {
	// Image and Version are always set.
	Image, Version   string
	Digest, Time, ID string
	// Bearer reports whether the secret is sent as a bearer token; otherwise Signature
	// is set.
	Bearer bool
	// Signature locates the body's HMAC-SHA256; it is nil with Bearer.
	Signature *Signature
}

// Signature is a header that holds an HMAC-SHA256 in hexadecimal digits, and the
// prefix before the digits.
type Signature struct{ Header, Prefix string }

// Queue holds the limits of the durable queue.
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
	// Bodies bounds, in bytes, the bodies of all webhooks that are not authenticated
	// yet, and separately all other bodies; zero for the server's default.
	Bodies int64
}
