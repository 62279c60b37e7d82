package webhook

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// Generic describes a sender with a format of its own, by JSON pointers (RFC 6901)
// such as /data/image or /tags/0.
type Generic struct {
	// Image points to the image's name, which may include tag and digest.
	Image string
	// Version points to the tag, or to an array of tags. It may be empty when the
	// image always includes a tag.
	Version string
	// Digest, Time and ID point to strings, and may be empty.
	Digest, Time, ID string
	// Signature describes how the sender signs; nil means that it sends a bearer token.
	Signature *Signature
}

// Signature is an HMAC-SHA256 over the body in a header, in hexadecimal.
type Signature struct {
	// Header holds the signature, such as X-Hub-Signature-256.
	Header string
	// Prefix is the text before the digits, such as "sha256=".
	Prefix string
}

func (g *Generic) check(refuse refusal) {
	if g.Image == "" {
		refuse("generic.image", "is missing: give a JSON pointer such as /image")
	}
	for _, p := range []struct{ option, pointer string }{
		{"generic.image", g.Image},
		{"generic.version", g.Version},
		{"generic.digest", g.Digest},
		{"generic.time", g.Time},
		{"generic.id", g.ID},
	} {
		if p.pointer == "" {
			continue
		}
		if _, err := parsePointer(p.pointer); err != nil {
			refuse(p.option, "%v", err)
		}
	}
	if g.Signature != nil && !isHeader(g.Signature.Header) {
		refuse("generic.signature.header", "%s is not a header name: give one such as X-Signature-256", quote(g.Signature.Header))
	}
}

func (g *Generic) proof(keys secrets) proof {
	if g.Signature == nil {
		return keys.bearer()
	}
	return keys.signedSHA256(g.Signature.Header, g.Signature.Prefix)
}

func (g *Generic) read(_ Request, content []byte) (reading, error) {
	var whole json.RawMessage
	if err := decode(content, &whole); err != nil {
		return reading{}, err
	}
	var named, digest, id string
	var at timestamp
	into(whole, g.Image, &named)
	into(whole, g.Digest, &digest)
	into(whole, g.ID, &id)
	into(whole, g.Time, &at)
	if named == "" {
		return ignored("the payload has no image at " + quote(g.Image)), nil
	}
	name, tag, pinned := cutReference(cutScheme(named))
	if digest == "" {
		digest = pinned
	}
	tags := tagsAt(whole, g.Version)
	if len(tags) == 0 {
		if tag == "" && g.Version != "" {
			return ignored("the payload has no version, as text, at " + quote(g.Version)), nil
		}
		tags = []string{tag}
	}
	host, repository := cutHost(name)
	if host == "" {
		// A name without a host is Docker Hub's, as everywhere.
		host = "docker.io"
	}
	return reading{events: func(yield func(event) bool) {
		for _, tag := range tags {
			if !yield(event{host: host, repository: repository, tag: tag, digest: digest, id: id, time: at.Time}) {
				return
			}
		}
	}}, nil
}

// tagsAt returns the string, or the strings of the array, that a pointer names.
func tagsAt(whole json.RawMessage, pointer string) []string {
	var many []string
	if into(whole, pointer, &many); len(many) > 0 {
		return many
	}
	var one string
	if into(whole, pointer, &one); one != "" {
		return []string{one}
	}
	return nil
}

// into decodes what a pointer names; what is not there or of another type
// leaves the value zero.
func into(whole json.RawMessage, pointer string, value any) {
	steps, err := parsePointer(pointer)
	if err != nil || len(steps) == 0 {
		return
	}
	for _, step := range steps {
		if whole = child(whole, step); whole == nil {
			return
		}
	}
	fill(whole, value)
}

// child returns the member or element of a value that a pointer's token names,
// or nil.
func child(parent json.RawMessage, token string) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(parent, &members) == nil {
		return members[token]
	}
	var elements []json.RawMessage
	if json.Unmarshal(parent, &elements) != nil {
		return nil
	}
	i, err := strconv.Atoi(token)
	if err != nil || i < 0 || i >= len(elements) || strconv.Itoa(i) != token {
		return nil
	}
	return elements[i]
}

// parsePointer returns the tokens of a JSON pointer; the empty pointer has none.
func parsePointer(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, nil
	}
	tokens := strings.Split(pointer, "/")
	if tokens[0] != "" {
		return nil, errors.New(quote(pointer) + " is not a JSON pointer: it begins with a slash, as in /data/image")
	}
	tokens = tokens[1:]
	unescape := strings.NewReplacer("~0", "~", "~1", "/")
	for i, token := range tokens {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(token), "~") {
			return nil, errors.New(quote(pointer) + " is not a JSON pointer: a tilde in it is written ~0, and a slash ~1")
		}
		tokens[i] = unescape.Replace(token)
	}
	return tokens, nil
}

// isHeader reports whether a text can be a header's name; RFC 9110 allows a few
// more characters, which no sender uses.
func isHeader(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !isAlphanumeric(r) && r != '-' && r != '_'
	})
}
