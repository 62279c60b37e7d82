package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one request on its way through the server.
type call struct {
	*Server
	r     *http.Request
	route *route
	id    string // X-GitHub-Request-Id
	start time.Time
	set   Settings
	body  []byte

	caller caller
	repo   *Repository // of routes below /repos/{owner}/{repo}
	faults []Fault     // that apply to this request
	record Request
}

// apiURL returns an address of the API: the base and path segments, which are
// escaped one by one.
func (c *call) apiURL(path ...string) string {
	return c.bases().api + "/" + escapePath(path)
}

// repoURL is apiURL below the repository.
func (c *call) repoURL(path ...string) string {
	return c.apiURL(append([]string{"repos", c.repo.Name()}, path...)...)
}

// pageURL returns the address of a page for people below the repository.
func (c *call) pageURL(path ...string) string {
	return c.bases().pages + "/" + escapePath(append([]string{c.repo.Name()}, path...))
}

func (c *call) bases() urlBases {
	c.mu.RLock()
	u := c.urls
	c.mu.RUnlock()
	own := ownURL(c.r)
	if u.api == "" {
		u.api = own
	}
	if u.pages == "" {
		u.pages = own
	}
	if u.archives == "" {
		u.archives = own + strings.TrimSuffix(archivesPrefix, "/")
	}
	return u
}

func ownURL(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func escapePath(parts []string) string {
	var out []string
	for _, part := range parts {
		for segment := range strings.SplitSeq(part, "/") {
			out = append(out, url.PathEscape(segment))
		}
	}
	return strings.Join(out, "/")
}

// accepts reports whether the caller asked for one of GitHub's media types, such
// as raw, in any of its spellings: application/vnd.github.raw+json,
// application/vnd.github.v3.raw.
func (c *call) accepts(format string) bool {
	for _, line := range c.r.Header.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			media, _, _ := strings.Cut(strings.TrimSpace(part), ";")
			media, ok := strings.CutPrefix(media, "application/vnd.github.")
			media = strings.TrimPrefix(strings.TrimPrefix(media, "v3."), "v3")
			if name, _, _ := strings.Cut(media, "+"); ok && name == format {
				return true
			}
		}
	}
	return false
}

// writes reports whether the request is one that changes something.
func (c *call) writes() bool {
	return c.r.Method != http.MethodGet && c.r.Method != http.MethodHead
}
