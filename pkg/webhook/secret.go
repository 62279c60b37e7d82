package webhook

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // G505: Nexus signs with HMAC-SHA1 and nothing else.
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"net/url"
	"strings"
)

// secrets are the values by which a sender may prove itself. Every comparison
// looks at all of them and takes the same time whichever matches.
type secrets struct {
	known []secret
}

type secret struct {
	key []byte
	sum [sha256.Size]byte
}

func newSecrets(texts []string) secrets {
	var s secrets
	for _, text := range texts {
		if text != "" {
			s.known = append(s.known, secret{key: []byte(text), sum: sha256.Sum256([]byte(text))})
		}
	}
	return s
}

// hold reports whether given is one of the secrets. It compares hashes, so that
// the length of a secret does not show either.
func (s secrets) hold(given string) bool {
	sum := sha256.Sum256([]byte(given))
	found := 0
	for i := range s.known {
		found |= subtle.ConstantTimeCompare(sum[:], s.known[i].sum[:])
	}
	return found == 1
}

// sign reports whether mac is the body's HMAC under one of the secrets.
func (s secrets) sign(algorithm func() hash.Hash, body, mac []byte) bool {
	found := 0
	for i := range s.known {
		h := hmac.New(algorithm, s.known[i].key)
		h.Write(body)
		found |= subtle.ConstantTimeCompare(mac, h.Sum(nil))
	}
	return found == 1
}

func (s secrets) signedSHA256(header, prefix string) proof {
	return s.signed(sha256.New, header, prefix)
}

func (s secrets) signedSHA1(header string) proof {
	return s.signed(sha1.New, header, "")
}

// signed wants the HMAC of the body in a header, in hexadecimal after a prefix.
// A header that cannot be one is refused before the body is read.
func (s secrets) signed(algorithm func() hash.Hash, header, prefix string) proof {
	size := algorithm().Size()
	signature := func(h http.Header) ([]byte, error) {
		given := h.Get(header)
		if given == "" {
			return nil, unauthenticated("the header " + header + " is missing")
		}
		digits, ok := strings.CutPrefix(given, prefix)
		mac, err := hex.DecodeString(digits)
		if !ok || err != nil || len(mac) != size {
			return nil, unauthenticated("the header " + header + " is not " + prefix + " and hexadecimal digits of the right number")
		}
		return mac, nil
	}
	return proof{
		head: withoutContext(func(r Request) (bool, error) {
			_, err := signature(r.Header)
			return false, err
		}),
		body: func(r Request, body []byte) error {
			mac, err := signature(r.Header)
			if err == nil && !s.sign(algorithm, body, mac) {
				err = unauthenticated("the signature in " + header + " belongs to another body or another secret")
			}
			return err
		},
	}
}

// inHeader wants a secret as a header's whole value.
func (s secrets) inHeader(header string) proof {
	return byHead(func(r Request) error {
		given := r.Header.Get(header)
		switch {
		case given == "":
			return unauthenticated("the header " + header + " is missing")
		case !s.hold(given):
			return unauthenticated("the header " + header + " holds no secret of the source")
		}
		return nil
	})
}

// inAuthorization wants a secret in the header Authorization: as its whole
// value, which is how a user typed it into the registry, as a bearer token, or
// as the password of Basic.
func (s secrets) inAuthorization() proof {
	return byHead(func(r Request) error {
		given := r.Header.Get("Authorization")
		if given == "" {
			return unauthenticated("the header Authorization is missing")
		}
		found := s.hold(given)
		scheme, rest, _ := strings.Cut(given, " ")
		switch {
		case strings.EqualFold(scheme, "Bearer"):
			found = s.hold(strings.TrimSpace(rest)) || found
		case strings.EqualFold(scheme, "Basic"):
			pair, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
			_, password, ok := strings.Cut(string(pair), ":")
			found = err == nil && ok && s.hold(password) || found
		}
		if !found {
			return unauthenticated("the header Authorization holds no secret of the source")
		}
		return nil
	})
}

// bearer wants a secret as a bearer token (RFC 6750, section 2.1).
func (s secrets) bearer() proof {
	return byHead(func(r Request) error {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return unauthenticated("the header Authorization with a bearer token is missing")
		}
		if !s.hold(strings.TrimSpace(token)) {
			return unauthenticated("the bearer token is no secret of the source")
		}
		return nil
	})
}

// inQuery wants a secret in the URL, for senders that neither sign nor set
// headers.
func (s secrets) inQuery() proof {
	return byHead(func(r Request) error { return s.inValues(r.Query) })
}

func (s secrets) inValues(query url.Values) error {
	given := query.Get("token")
	switch {
	case given == "":
		return unauthenticated("the URL has no token")
	case !s.hold(given):
		return unauthenticated("the token of the URL is no secret of the source")
	}
	return nil
}
