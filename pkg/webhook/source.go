package webhook

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options describe one source.
type Options struct {
	// Name is the source's name in its URL and in errors.
	Name string
	// Kind is the sender's kind.
	Kind Kind
	// Secrets prove the sender, each of them, so that one can be replaced without a
	// gap. Kind gar has none.
	Secrets []string
	// Registry is the registry's host[:port] as manifests name it. For a kind with
	// a host of its own it replaces that host: pushes of any other registry are
	// ignored. For the other kinds it replaces what payloads say. Kinds zot and nexus
	// need it, because their payloads name none. Kind distribution should have it: its
	// payloads repeat the Host header of whoever pushed, who could name images of
	// another registry.
	Registry string
	// Images are doublestar globs over normalised names, such as
	// ghcr.io/octo-org/**, of which a push's image must match one; none means every
	// name. They are compared after Registry and Rewrite were applied.
	Images []string
	// Rewrite maps names of images, host included, to those that manifests use.
	// Only the first rule that fits a name is applied.
	Rewrite []Rewrite
	// Tags selects the tags that are pushes; the zero filter takes every tag.
	Tags TagFilter
	// Generic describes the payload of kind generic.
	Generic *Generic
	// Audience and ServiceAccount are what the token of kind gar must name: whom it is
	// for, and whom it belongs to.
	Audience, ServiceAccount string
	// Keys identifies the issuer of kind gar's tokens; the zero value is Google.
	Keys Keys
	// Transport carries the one request that kind gar makes, for its keys. Only that
	// kind needs it.
	Transport http.RoundTripper
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// String returns name and kind, so that printing options shows no secret.
func (o Options) String() string { return o.Name + " (" + string(o.Kind) + ")" }

// GoString is String.
func (o Options) GoString() string { return o.String() }

// Source receives the webhooks of one sender. It is safe for concurrent use.
// Printing one shows its name and kind and no secret.
type Source struct {
	name   string
	kind   Kind
	sender sender
	naming naming
	tags   TagFilter
	now    func() time.Time
}

// sender is what differs between the kinds.
type sender struct {
	proof proof
	// read reads the body of an authentic request. Its error is a *MalformedError.
	read func(Request, []byte) (reading, error)
	// preflight proves an OPTIONS request by its query; nil where the kind has no
	// such handshake.
	preflight func(url.Values) error
}

// New returns a source. The error joins one *OptionError for each option that
// is missing, wrong or of no use for the kind.
func New(o Options) (*Source, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Source{
		name:   o.Name,
		kind:   o.Kind,
		sender: senderOf(o),
		naming: newNaming(o),
		tags:   o.Tags,
		now:    o.Now,
	}, nil
}

// senderOf returns the sender of a kind that is known.
func senderOf(o Options) sender {
	keys := newSecrets(o.Secrets)
	switch o.Kind {
	case KindGHCR:
		return sender{proof: keys.signedSHA256("X-Hub-Signature-256", "sha256="), read: readGHCR}
	case KindGitHub:
		return sender{proof: keys.signedSHA256("X-Hub-Signature-256", "sha256="), read: readGitHub}
	case KindDockerHub:
		return sender{proof: keys.inQuery(), read: readDockerHub}
	case KindQuay:
		return sender{proof: keys.inQuery(), read: readQuay}
	case KindHarbor:
		return sender{proof: keys.inAuthorization(), read: readHarbor}
	case KindDistribution:
		return sender{proof: keys.inAuthorization(), read: readDistribution}
	case KindZot:
		return sender{proof: keys.inAuthorization(), read: readZot}
	case KindACR:
		return sender{proof: either(keys.inAuthorization(), keys.inQuery()), read: readACR, preflight: keys.inValues}
	case KindECR:
		return sender{proof: either(keys.inHeader("X-Api-Key"), keys.inAuthorization()), read: readECR}
	case KindGAR:
		return sender{proof: newGoogle(o).proof(), read: readGAR}
	case KindArtifactory:
		return sender{proof: either(keys.inHeader(jfrogAuth), keys.signedSHA256(jfrogAuth, "")), read: readArtifactory}
	case KindNexus:
		return sender{proof: keys.signedSHA1("X-Nexus-Webhook-Signature"), read: readNexus}
	default:
		return sender{proof: o.Generic.proof(keys), read: o.Generic.read}
	}
}

// Name returns the source's name.
func (s *Source) Name() string { return s.name }

// Kind returns the sender's kind.
func (s *Source) Kind() Kind { return s.kind }

// String returns name and kind.
func (s *Source) String() string { return s.name + " (" + string(s.kind) + ")" }

// GoString is String, so that no verb of fmt shows a secret.
func (s *Source) GoString() string { return s.String() }

// Bounded reports whether something bounds the names of the images that the
// source's pushes may have: the registry of its kind, Options.Registry or
// Options.Images; kind github has none. A source that is not bounded may move any image.
func (s *Source) Bounded() bool { return s.kind == KindGitHub || s.naming.bounded() }

// HasPreflight reports whether the source's kind has the handshake that Preflight
// answers.
func (s *Source) HasPreflight() bool { return s.sender.preflight != nil }

// Request is what a sender's request says before its body is read.
type Request struct {
	Header http.Header
	Query  url.Values
}

// Admission is a request whose headers and URL passed: the next step is to read
// its body.
type Admission struct {
	// Proven reports whether the request is authentic whatever its body holds. If
	// not, Receive still has to compare the body with its signature.
	Proven bool

	source  *Source
	request Request
}

// Admit judges a request by its headers and URL, before anything is spent on its
// body. The error wraps ErrUnauthenticated or ErrUnavailable. Only kind gar ever
// waits, for Google's keys and no longer than the context allows.
func (s *Source) Admit(ctx context.Context, r Request) (Admission, error) {
	proven, err := s.sender.proof.head(ctx, r)
	if err != nil {
		return Admission{}, err
	}
	return Admission{Proven: proven, source: s, request: r}, nil
}

// Receive proves the request by its body, unless it is Proven, and reads it. The
// body is the whole one as it came, and is only read. The delivery is complete
// when the error is nil; the error wraps ErrUnauthenticated or ErrMalformed.
func (a Admission) Receive(body []byte) (Delivery, error) {
	sender := a.source.sender
	if !a.Proven {
		if err := sender.proof.body(a.request, body); err != nil {
			return Delivery{}, err
		}
	}
	read, err := sender.read(a.request, body)
	if err != nil {
		return Delivery{}, err
	}
	return a.source.normalise(read), nil
}

// Preflight answers the OPTIONS request by which a sender of CloudEvents asks
// whether it may deliver here (the abuse protection of the CloudEvents webhook
// specification, section 4). Origin is the request's WebHook-Request-Origin; the
// header belongs on a 200 without a body. Such a request carries no header of
// the user's, so the secret is its query's token. The error wraps
// ErrNoPreflight, ErrUnauthenticated or, for an origin that is not a host name,
// ErrMalformed.
func (s *Source) Preflight(origin string, query url.Values) (http.Header, error) {
	if !s.HasPreflight() {
		return nil, ErrNoPreflight
	}
	if err := s.sender.preflight(query); err != nil {
		return nil, err
	}
	if !isOrigin(origin) {
		return nil, &MalformedError{Cause: "WebHook-Request-Origin is not a host name"}
	}
	return http.Header{
		"Allow":                  {http.MethodPost},
		"Webhook-Allowed-Origin": {origin},
		"Webhook-Allowed-Rate":   {"*"},
	}, nil
}

// isOrigin reports whether s is a DNS name, with or without a port, or a star: such
// text is safe in a header.
func isOrigin(s string) bool {
	if s == "*" {
		return true
	}
	return s != "" && len(s) <= maxHost && !strings.ContainsFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune(".-_:", r)
	})
}
