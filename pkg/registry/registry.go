package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

const (
	// Remember is how long a tag that exists counts as known.
	Remember = time.Minute
	// maxKnown bounds the tags that are known, each of some hundred bytes.
	maxKnown = 10_000
	// maxQuestions bounds the questions at once, each of which has a connection.
	maxQuestions = 16
	// questionTimeout bounds a question.
	questionTimeout = 10 * time.Second
)

// Host is a registry, or a host that one refers to, that may have a private address.
type Host struct {
	// Name is host[:port], as images name it; without a port it is 443, and 80 as well
	// if the host is insecure.
	Name string
	// Insecure lets it be asked by http://.
	Insecure bool
}

// Options say whom a Client may ask, and with which credentials.
type Options struct {
	Hosts []Host
	// Auth returns a Docker config.json, each time anew; nil means no credentials.
	Auth func() ([]byte, error)
	// Proxy is that of http.Transport; nil means none.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS is nil for the roots of the system.
	TLS *tls.Config
	// Remember is how long a tag that exists counts as known; zero means Remember.
	Remember time.Duration
}

// Client asks registries. It is safe for concurrent use.
type Client struct {
	transport http.RoundTripper
	auth      func() ([]byte, error)
	insecure  map[string]bool
	known     *otter.Cache[string, image.Digest]
	flights   singleflight.Group
	slots     *semaphore.Weighted
}

// New returns a Client.
func New(o Options) *Client {
	if o.Remember == 0 {
		o.Remember = Remember
	}
	c := &Client{
		transport: newGuard(o), auth: o.Auth, insecure: map[string]bool{}, slots: semaphore.NewWeighted(maxQuestions),
		known: otter.Must(&otter.Options[string, image.Digest]{
			MaximumSize: maxKnown, ExpiryCalculator: otter.ExpiryWriting[string, image.Digest](o.Remember),
		}),
	}
	for _, h := range o.Hosts {
		c.insecure[strings.ToLower(h.Name)] = h.Insecure
	}
	return c
}

// Exists reports whether the image has the tag. The error is that of Digest.
func (c *Client) Exists(ctx context.Context, repository image.Repository, tag image.Tag) (bool, error) {
	_, found, err := c.Digest(ctx, repository, tag)
	return found, err
}

// Digest returns the digest of the image's tag, and reports whether the tag exists. The
// error is an *Error, or ctx's cause when ctx ends first.
func (c *Client) Digest(ctx context.Context, repository image.Repository, tag image.Tag) (image.Digest, bool, error) {
	key := repository.Name() + ":" + tag.String()
	if digest, ok := c.known.GetIfPresent(key); ok {
		return digest, true, nil
	}
	// The question outlasts a caller who is gone, since others may wait for the answer.
	answer := c.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), questionTimeout)
		defer cancel()
		digest, err := c.ask(ctx, repository, tag)
		if err == nil && !digest.IsZero() {
			c.known.Set(key, digest)
		}
		return digest, err
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return image.Digest{}, false, a.Err
		}
		digest, _ := a.Val.(image.Digest)
		return digest, !digest.IsZero(), nil
	case <-ctx.Done():
		return image.Digest{}, false, context.Cause(ctx)
	}
}

// ask returns the digest of a tag, and a zero one for a tag that does not exist.
func (c *Client) ask(ctx context.Context, repository image.Repository, tag image.Tag) (image.Digest, error) {
	host := repository.Domain()
	if err := c.slots.Acquire(ctx, 1); err != nil {
		return image.Digest{}, asError(host, err)
	}
	defer c.slots.Release(1)
	credentials, err := c.credentials(repository)
	if err != nil {
		return image.Digest{}, &Error{Host: host, Kind: Unreadable, Err: err}
	}
	options := []name.Option{name.StrictValidation}
	if c.insecure[strings.ToLower(host)] {
		options = append(options, name.Insecure)
	}
	at, err := name.NewRegistry(host, options...)
	if err != nil {
		return image.Digest{}, asError(host, err)
	}
	found, err := remote.Head(at.Repo(repository.Path()).Tag(tag.String()),
		remote.WithContext(counted(ctx)), remote.WithTransport(c.transport), remote.WithAuth(credentials),
		remote.WithUserAgent("refty-node-versions-service"),
		// Whoever waits for the update tries again.
		remote.WithRetryPredicate(func(error) bool { return false }), remote.WithRetryStatusCodes(),
	)
	switch {
	case isAbsent(err):
		return image.Digest{}, nil
	case err != nil:
		return image.Digest{}, asError(host, err)
	}
	digest, err := image.ParseDigest(found.Digest.String())
	if err != nil {
		return image.Digest{}, asError(host, err)
	}
	return digest, nil
}

// credentials returns those for the image.
func (c *Client) credentials(repository image.Repository) (authn.Authenticator, error) {
	if c.auth == nil {
		return authn.Anonymous, nil
	}
	content, err := c.auth()
	if err != nil {
		return nil, err
	}
	all, err := parseAuths(content)
	if err != nil {
		return nil, err
	}
	return all.of(repository), nil
}

// isAbsent reports whether the registry answered that the manifest is not there. A 404
// of another path is no such answer.
func isAbsent(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.Request != nil &&
		answer.Request.Method == http.MethodHead && strings.Contains(answer.Request.URL.Path, "/manifests/")
}
