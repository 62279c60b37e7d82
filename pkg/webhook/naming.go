package webhook

import (
	"regexp"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

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

// noHost is why a push whose image has no host is unusable.
const noHost = "no registry host in the payload: set registry, or a rewrite, on the source"

// naming makes images' names out of what payloads say, within the source's
// bounds.
type naming struct {
	kind     Kind
	registry string
	rewrites []Rewrite
	images   []string
}

func newNaming(o Options) naming {
	return naming{
		kind: o.Kind, registry: o.Registry, rewrites: slices.Clone(o.Rewrite), images: slices.Clone(o.Images),
	}
}

// ownHosts match the hosts of the kinds that stand for one company's registry.
var ownHosts = map[Kind]*regexp.Regexp{
	KindGHCR:      regexp.MustCompile(`^ghcr\.io$`),
	KindDockerHub: regexp.MustCompile(`^docker\.io$`),
	KindQuay:      regexp.MustCompile(`^quay\.io$`),
	KindACR:       regexp.MustCompile(`^[a-z0-9-]+(?:\.[a-z0-9-]+)*\.azurecr\.(?:io|cn|us)$`),
	KindECR:       regexp.MustCompile(`^[0-9]+\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?$`),
	KindGAR:       regexp.MustCompile(`^(?:(?:[a-z0-9-]+\.)?gcr\.io|[a-z0-9-]+\.pkg\.dev)$`),
}

// bounded reports whether something bounds the names that pushes may have.
func (n naming) bounded() bool {
	return n.kind == KindGitHub || ownHosts[n.kind] != nil || n.registry != "" || len(n.images) > 0
}

// refuse returns why the registry that an event names is not the source's, and the
// fix; empty when it is, or the event names none.
func (n naming) refuse(e event) string {
	own, host := ownHosts[n.kind], strings.ToLower(e.host)
	switch {
	case own == nil || host == "" || e.inferred && n.registry != "":
		return ""
	case n.registry != "" && host != n.registry:
		return "the push is of the registry " + quote(host) + ", and this source is for " + n.registry
	case n.registry == "" && !own.MatchString(host):
		return "the push is of the registry " + quote(host) + ", and a source of kind " + string(n.kind) +
			" takes only its own; set registry on the source if it is yours"
	}
	return ""
}

// takes reports whether the image is one of the source's.
func (n naming) takes(repo image.Repository) bool {
	return len(n.images) == 0 || slices.ContainsFunc(n.images, func(glob string) bool {
		return doublestar.MatchUnvalidated(glob, repo.Name())
	})
}

// name returns the image of an event, or zero when no host is known. The error is
// the grammar's.
func (n naming) name(e event) (image.Repository, error) {
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
		return image.ParseRepository(full)
	}
	_, err := image.ParseRepository("localhost/" + full)
	return image.Repository{}, err
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

// cutScheme cuts https:// or http:// off a name: some senders write an address.
func cutScheme(name string) string {
	for _, scheme := range []string{"https://", "http://"} {
		if len(name) >= len(scheme) && strings.EqualFold(name[:len(scheme)], scheme) {
			return name[len(scheme):]
		}
	}
	return name
}

// cutHost cuts the host off a name; host is empty when the name begins with none.
func cutHost(name string) (host, repository string) {
	host, repository, ok := strings.Cut(name, "/")
	if !ok || !isHost(host) {
		return "", name
	}
	return host, repository
}
