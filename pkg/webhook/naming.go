package webhook

import (
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Rewrite replaces the beginning of an image's name. From and To are whole
// components in lower case without a slash at the end: From
// "registry.internal:5000/apps" fits registry.internal:5000/apps/web and not
// registry.internal:5000/apps-old. From may lack the host, for payloads that
// name none; To begins with one.
type Rewrite struct {
	From, To string
}

// maxHost is the longest host with its port in bytes: a DNS name has at most 253.
const maxHost = 260

// noHost is what a push is told to lack whose image has no host.
const noHost = "no registry host in the payload: set registry, or a rewrite, on the source"

// naming makes images' names out of what payloads say.
type naming struct {
	registry string
	rewrites []Rewrite
}

func newNaming(registry string, rewrites []Rewrite) naming {
	return naming{registry: registry, rewrites: append([]Rewrite(nil), rewrites...)}
}

// name returns the image of an event. When no host is known the image is zero
// and known is the name without one. The error is the grammar's.
func (n naming) name(e event) (repo image.Repository, known string, err error) {
	host, path := strings.ToLower(e.host), strings.ToLower(e.repository)
	if n.registry != "" {
		host = n.registry
	}
	if !isHost(host) {
		host = ""
	}
	full, rewritten := join(host, path), false
	if e.within != "" {
		longer := join(host, join(strings.ToLower(e.within), path))
		if to, ok := n.rewrite(longer); ok {
			full, rewritten = to, true
		}
	}
	if !rewritten {
		full, rewritten = n.rewrite(full)
	}
	if host != "" || rewritten {
		repo, err = image.ParseRepository(full)
		return repo, "", err
	}
	if _, err = image.ParseRepository("localhost/" + full); err != nil {
		return image.Repository{}, "", err
	}
	return image.Repository{}, full, nil
}

// rewrite applies the first rule that fits.
func (n naming) rewrite(name string) (string, bool) {
	for _, r := range n.rewrites {
		rest, ok := strings.CutPrefix(name, r.From)
		if ok && (rest == "" || rest[0] == '/') {
			return r.To + rest, true
		}
	}
	return name, false
}

func join(host, path string) string {
	if host == "" {
		return path
	}
	return host + "/" + path
}

// isHost reports whether the grammar of references takes s, in front of a
// slash, for a registry's host.
func isHost(s string) bool {
	return len(s) <= maxHost && !strings.Contains(s, "/") && (s == "localhost" || strings.ContainsAny(s, ".:"))
}

// cutReference cuts a reference where tag and digest begin, without checking
// any part. A colon before the last slash belongs to a port.
func cutReference(s string) (name, tag, digest string) {
	s, digest, _ = strings.Cut(s, "@")
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || colon < strings.LastIndexByte(s, '/') {
		return s, "", digest
	}
	return s[:colon], s[colon+1:], digest
}

// cutHost cuts the host off a name; host is empty when the name begins with none.
func cutHost(name string) (host, repository string) {
	host, repository, ok := strings.Cut(name, "/")
	if !ok || !isHost(host) {
		return "", name
	}
	return host, repository
}
