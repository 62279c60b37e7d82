package github

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Call is one HTTP request that was made, for logs and metrics.
type Call struct {
	Method string
	// Endpoint is the path with names in place of values, such as
	// /repos/{owner}/{repo}/git/trees/{tree_sha}; archive for the download behind
	// a tarball's redirect, other for what this package does not ask for.
	Endpoint string
	Status   int // 0 when no answer came
	// Duration is from sending the request until its answer was read.
	Duration time.Duration
	// Bytes of the answer's body that were read, and of the request's that were sent.
	Bytes, Sent int64
	Err         error
	// Limit and Remaining are the hourly budget as this answer tells it; Limit is
	// 0 when it does not.
	Limit, Remaining int
	// Expires is when the credential ends, as this answer tells it; zero when it does not.
	Expires time.Time
}

// endpointArchive is Call.Endpoint of a download that no API host serves.
const endpointArchive = "archive"

// observer counts and reports the requests that pass through it. It is the last
// layer above the caller's transport, so that it sees what is really sent.
type observer struct {
	next    http.RoundTripper
	base    string // path of the API's root, ends in a slash
	archive bool
	now     func() time.Time
	observe func(context.Context, Call)
}

// RoundTrip implements http.RoundTripper. The report is made when the answer's
// body was read or closed.
func (o *observer) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	call := Call{Method: req.Method, Endpoint: endpointArchive, Sent: max(req.ContentLength, 0)}
	if !o.archive {
		call.Endpoint = endpointOf(strings.TrimPrefix(req.URL.Path, o.base))
		accountOf(ctx).sent()
	}
	start := o.now()
	resp, err := o.next.RoundTrip(req)
	if err != nil {
		call.Err = err
		o.report(ctx, call, start)
		return nil, err
	}
	call.Status = resp.StatusCode
	call.Limit, _ = strconv.Atoi(resp.Header.Get(headerLimit))
	call.Remaining, _ = strconv.Atoi(resp.Header.Get(headerRemaining))
	call.Expires = expiryOf(resp.Header)
	resp.Body = &observedBody{ReadCloser: resp.Body, done: func(n int64, err error) {
		call.Bytes, call.Err = n, err
		o.report(ctx, call, start)
	}}
	return resp, nil
}

// expiryOf reads when a personal token ends. GitHub tells it in UTC, or in the time zone of
// the token's owner.
func expiryOf(h http.Header) time.Time {
	text := h.Get(headerTokenExpires)
	for _, layout := range []string{"2006-01-02 15:04:05 UTC", "2006-01-02 15:04:05 -0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	return time.Time{}
}

func (o *observer) report(ctx context.Context, call Call, start time.Time) {
	if o.observe == nil {
		return
	}
	call.Duration = o.now().Sub(start)
	o.observe(ctx, call)
}

// observedBody tells how much of a body was read, once it ends or is closed.
type observedBody struct {
	io.ReadCloser
	n    int64
	once sync.Once
	done func(n int64, err error)
}

func (b *observedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if err != nil {
		b.finish(err)
	}
	return n, err
}

func (b *observedBody) Close() error {
	err := b.ReadCloser.Close()
	b.finish(nil)
	return err
}

func (b *observedBody) finish(err error) {
	if errors.Is(err, io.EOF) {
		err = nil
	}
	b.once.Do(func() { b.done(b.n, err) })
}

// endpointOf turns a path below the API's root into a template with few values.
func endpointOf(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case parts[0] == "repos" && len(parts) >= 3:
		return "/repos/{owner}/{repo}" + endpointIn(parts[3:])
	case parts[0] == "repositories" && len(parts) >= 2:
		return "/repositories/{repository_id}" + endpointIn(parts[2:])
	case len(parts) == 4 && parts[0] == "app" && parts[3] == "access_tokens":
		return "/app/installations/{installation_id}/access_tokens"
	case len(parts) == 3 && parts[0] == "app" && parts[1] == "installations":
		return "/app/installations/{installation_id}"
	}
	return "other"
}

// endpointIn is the part of a template below a repository.
func endpointIn(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	if parts[0] == "git" && len(parts) >= 2 {
		name := map[string]string{
			"ref": "{ref}", "refs": "{ref}", "trees": "{tree_sha}", "commits": "{commit_sha}", "blobs": "{file_sha}",
		}[parts[1]]
		switch {
		case name != "" && len(parts) == 2:
			return "/git/" + parts[1]
		case name != "":
			return "/git/" + parts[1] + "/" + name
		}
	}
	if name, ok := endpointOfPull(parts); ok {
		return name
	}
	name, ok := map[string]string{
		"branches": "/branches/{branch}", "compare": "/compare/{basehead}", "tarball": "/tarball/{ref}", "installation": "/installation",
	}[parts[0]]
	if !ok {
		return "/other"
	}
	return name
}

// endpointOfPull is endpointIn for pull requests, which are issues as well.
func endpointOfPull(parts []string) (string, bool) {
	number, ok := map[string]string{"pulls": "/{pull_number}", "issues": "/{issue_number}"}[parts[0]]
	switch {
	case !ok:
		return "", false
	case len(parts) == 1:
		return "/" + parts[0], true
	case len(parts) == 2:
		return "/" + parts[0] + number, true
	}
	switch parts[2] {
	case "labels", "assignees", "comments", "requested_reviewers":
		return "/" + parts[0] + number + "/" + parts[2], true
	case "merge-async":
		if len(parts) == 4 {
			return "/pulls/{pull_number}/merge-async/{uuid}", true
		}
		return "/pulls/{pull_number}/merge-async", true
	}
	return "/other", true
}

// sameHost is an http.Client's CheckRedirect for requests that carry the
// credential: a renamed repository is followed (301 for reads, 307 and 308 for
// all, on the same host), everything else is left to the caller. GitHub's redirect
// of a tarball is a 302.
func sameHost(req *http.Request, via []*http.Request) error {
	const maxRedirects = 3
	if len(via) > maxRedirects || !sameOrigin(req.URL, via[0].URL) {
		return http.ErrUseLastResponse
	}
	switch req.Response.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return nil
	case http.StatusMovedPermanently:
		if via[0].Method == http.MethodGet { // of a write it would make a read
			return nil
		}
	}
	return http.ErrUseLastResponse
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host)
}
