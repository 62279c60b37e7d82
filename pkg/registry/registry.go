package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

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
	// away is how long a registry that did not answer is not asked again: whoever waits
	// for it holds up others.
	away = 15 * time.Second
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
	// Auth is a Docker config.json; empty means no credentials.
	Auth []byte
	// Proxy is that of http.Transport; nil means none.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS is nil for the roots of the system.
	TLS *tls.Config
	// Remember is how long a tag that exists counts as known; zero means Remember. A
	// registry that does not answer is left alone for as long, or for 15 seconds.
	Remember time.Duration
}

// Client asks registries. It is safe for concurrent use.
type Client struct {
	transport http.RoundTripper
	auths     auths
	insecure  map[string]bool
	known     *otter.Cache[string, image.Digest]
	down      *otter.Cache[string, *Error] // by host
	flights   singleflight.Group
	slots     *semaphore.Weighted
}

// New returns a Client. The error is that of CheckAuth.
func New(o Options) (*Client, error) {
	all, err := parseAuths(o.Auth)
	if err != nil {
		return nil, err
	}
	if o.Remember == 0 {
		o.Remember = Remember
	}
	c := &Client{
		transport: newTransport(o), auths: all, insecure: map[string]bool{}, slots: semaphore.NewWeighted(maxQuestions),
		known: otter.Must(&otter.Options[string, image.Digest]{
			MaximumSize: maxKnown, ExpiryCalculator: otter.ExpiryWriting[string, image.Digest](o.Remember),
		}),
		down: otter.Must(&otter.Options[string, *Error]{
			MaximumSize: maxKnown, ExpiryCalculator: otter.ExpiryCreating[string, *Error](min(o.Remember, away)),
		}),
	}
	for _, h := range o.Hosts {
		c.insecure[strings.ToLower(h.Name)] = h.Insecure
	}
	return c, nil
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
	if e, ok := c.down.GetIfPresent(host); ok {
		return image.Digest{}, e
	}
	if err := c.slots.Acquire(ctx, 1); err != nil {
		return image.Digest{}, asError(host, err)
	}
	defer c.slots.Release(1)
	options := []name.Option{name.StrictValidation}
	if c.insecure[strings.ToLower(host)] {
		options = append(options, name.Insecure)
	}
	at, err := name.NewRegistry(host, options...)
	if err != nil {
		return image.Digest{}, asError(host, err)
	}
	found, err := remote.Head(at.Repo(repository.Path()).Tag(tag.String()),
		remote.WithContext(counted(ctx)), remote.WithTransport(c.transport), remote.WithAuth(c.auths.of(repository)),
		remote.WithUserAgent("refty-node-versions-service"),
		// Whoever waits for the update tries again.
		remote.WithRetryPredicate(func(error) bool { return false }), remote.WithRetryStatusCodes(),
	)
	switch {
	case isAbsent(err):
		return image.Digest{}, nil
	case err != nil:
		e := asError(host, err)
		if e.Kind == Limited || e.Kind == Away && e.Status == 0 {
			_, _ = c.down.Set(host, e)
		}
		return image.Digest{}, e
	}
	digest, err := image.ParseDigest(found.Digest.String())
	if err != nil {
		return image.Digest{}, asError(host, err)
	}
	return digest, nil
}

// isAbsent reports whether the registry answered that the manifest is not there. A 404
// of another path is no such answer.
func isAbsent(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.Request != nil &&
		answer.Request.Method == http.MethodHead && strings.Contains(answer.Request.URL.Path, "/manifests/")
}
