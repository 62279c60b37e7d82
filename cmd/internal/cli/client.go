package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAnswer bounds an answer in bytes; the largest are inventories and diffs.
	maxAnswer = 32 << 20
	// maxTries and tryWindow bound what is sent again: a try begins no later than
	// tryWindow after the first one.
	maxTries  = 3
	tryWindow = 10 * time.Second
	// dialTimeout leaves room for three tries within tryWindow.
	dialTimeout = 2500 * time.Millisecond
	// requestTimeout bounds one request; an update is waited for by several.
	requestTimeout = 5 * time.Minute
	maxRedirects   = 3
)

// client sends requests to one service. It is for one goroutine.
type client struct {
	base   *url.URL
	http   *http.Client
	tokens *tokens
	clock  Clock
	agent  string
}

// request is one call of the interface.
type request struct {
	method, path string
	query        url.Values
	body         any
	// prefer is how many seconds the service may hold the answer back; negative
	// when the update is not to be stored.
	prefer int
	key    string
}

// reply is an answer that arrived as a whole.
type reply struct {
	status int
	header http.Header
	body   []byte
	// tries is how often the request was sent.
	tries int
}

// parseServer returns the root of the service. The error says what to set.
func parseServer(text string) (*url.URL, error) {
	const fix = "set --server or VERSIONS_SERVICE_URL to the service, such as https://versions.example.com"
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case strings.TrimSpace(text) == "":
		return nil, failed(exitRefused, "no service is named: %s", fix)
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, failed(exitRefused, "the service is no http or https URL: %s", fix)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, failed(exitRefused, "the service's URL has a user, a query or a fragment: %s", fix)
	}
	return u, nil
}

// origin returns scheme, host and port, the latter only if it is not the scheme's own.
func origin(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}

// newHTTP returns a client that follows redirects within one origin, so that a token
// goes nowhere else, and without a change of the method.
func newHTTP() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			first := via[0]
			switch {
			case len(via) > maxRedirects:
				return failed(exitRefused, "%s redirects too often", origin(first.URL))
			case origin(next.URL) != origin(first.URL):
				return failed(exitRefused, "%s redirects to %s, where the token is not sent: if that is the service, set --server to it", origin(first.URL), origin(next.URL))
			case next.Method != first.Method:
				return failed(exitRefused, "%s redirects a %s to %s: set --server to the service itself", origin(first.URL), first.Method, next.URL.Path)
			}
			return nil
		},
	}
}

// do sends the request, again if the service cannot be reached or is away. After
// an error no answer arrived.
func (c *client) do(ctx context.Context, r request) (reply, error) {
	body, err := json.Marshal(r.body)
	if err != nil {
		return reply{}, err
	}
	began := c.clock.Now()
	for try := 1; ; try++ {
		got, err := c.once(ctx, r, body)
		got.tries = try
		pause, again := retryAfter(got, err, try)
		if !again || try == maxTries || c.clock.Now().Sub(began)+pause > tryWindow {
			return got, err
		}
		if !c.clock.Sleep(ctx, pause) {
			return got, ctx.Err()
		}
	}
}

// retryAfter returns how long to wait before the next try, and whether there is one.
func retryAfter(got reply, err error, try int) (time.Duration, bool) {
	pause := time.Duration(try*try) * 500 * time.Millisecond
	if err != nil {
		var fail *failure
		return pause, !errors.As(err, &fail)
	}
	switch got.status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err == nil && seconds > 0 {
			pause = time.Duration(min(seconds, 3600)) * time.Second
		}
		return pause, true
	}
	return 0, false
}

// once sends the request once. A failure is a fault that another try does not mend.
func (c *client) once(ctx context.Context, r request, body []byte) (reply, error) {
	limit := requestTimeout
	if r.prefer >= 0 {
		limit = time.Duration(r.prefer)*time.Second + 30*time.Second // the answer has to arrive
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	token, err := c.tokens.get(ctx)
	if err != nil {
		return reply{}, err
	}
	at := c.base.JoinPath(r.path)
	at.RawQuery = r.query.Encode()
	var content io.Reader
	if r.body != nil {
		content = bytes.NewReader(body)
	}
	out, err := http.NewRequestWithContext(ctx, r.method, at.String(), content)
	if err != nil {
		return reply{}, failed(exitFault, "%w", err)
	}
	out.Header.Set("User-Agent", c.agent)
	out.Header.Set("Accept", "application/json")
	if r.body != nil {
		out.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		out.Header.Set("Authorization", "Bearer "+token)
	}
	if r.prefer >= 0 {
		out.Header.Set("Prefer", preference(r.prefer))
	}
	if r.key != "" {
		out.Header.Set("Idempotency-Key", r.key)
	}
	return exchange(c.http, out, maxAnswer)
}

// preference asks the service to store the update, and to answer in so many seconds.
func preference(seconds int) string {
	if seconds == 0 {
		return "respond-async"
	}
	return "wait=" + strconv.Itoa(seconds)
}

// exchange returns the whole answer, of at most that many bytes.
func exchange(client *http.Client, out *http.Request, most int64) (reply, error) {
	response, err := client.Do(out)
	if err != nil {
		return reply{}, noAnswer(out.URL, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	switch {
	case err != nil:
		return reply{}, noAnswer(out.URL, err)
	case int64(len(body)) > most:
		return reply{}, failed(exitFault, "%s answers with more than %d bytes", origin(out.URL), most)
	}
	return reply{status: response.StatusCode, header: response.Header, body: body}, nil
}

// noAnswer says which host did not answer, without the URL's path and query.
func noAnswer(u *url.URL, err error) error {
	var fail *failure
	if errors.As(err, &fail) {
		return fail
	}
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("the time for an answer is over")
	}
	return fmt.Errorf("%s does not answer: %w", origin(u), err)
}
