package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // G505: Nexus signs with HMAC-SHA1 and nothing else.
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/url"
	"strings"
)

// secrets are what a sender may prove itself by. Every comparison looks at each
// of them and takes the same time whichever matches.
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

// hold reports whether given is one of the secrets. Hashes are compared, so
// that the length of a secret does not show either.
func (s secrets) hold(given string) bool {
	sum := sha256.Sum256([]byte(given))
	found := 0
	for i := range s.known {
		found |= subtle.ConstantTimeCompare(sum[:], s.known[i].sum[:])
	}
	return found == 1
}

// sign reports whether mac is the body's code under one of the secrets.
func (s secrets) sign(algorithm func() hash.Hash, body, mac []byte) bool {
	found := 0
	for i := range s.known {
		h := hmac.New(algorithm, s.known[i].key)
		h.Write(body)
		found |= subtle.ConstantTimeCompare(mac, h.Sum(nil))
	}
	return found == 1
}

type proof = func(context.Context, Request) error

func (s secrets) signedSHA256(header, prefix string) proof {
	return s.signed(sha256.New, header, prefix)
}

func (s secrets) signedSHA1(header string) proof {
	return s.signed(sha1.New, header, "")
}

// signed wants the HMAC of the body in a header, in hexadecimal after a prefix.
func (s secrets) signed(algorithm func() hash.Hash, header, prefix string) proof {
	return func(_ context.Context, r Request) error {
		given := r.Header.Get(header)
		if given == "" {
			return unauthenticated("there is no header " + header)
		}
		digits, ok := strings.CutPrefix(given, prefix)
		mac, err := hex.DecodeString(digits)
		if !ok || err != nil {
			return unauthenticated("the header " + header + " is not " + prefix + " and hexadecimal digits")
		}
		if !s.sign(algorithm, r.Body, mac) {
			return unauthenticated("the signature in " + header + " is of another body or by another secret")
		}
		return nil
	}
}

// inHeader wants a secret as a header's whole value.
func (s secrets) inHeader(header string) proof {
	return func(_ context.Context, r Request) error {
		given := r.Header.Get(header)
		switch {
		case given == "":
			return unauthenticated("there is no header " + header)
		case !s.hold(given):
			return unauthenticated("the header " + header + " holds no secret of the source")
		}
		return nil
	}
}

// inAuthorization wants a secret in the header Authorization: as its whole
// value, which is how a user typed it into the registry, as a bearer token, or
// as the password of Basic.
func (s secrets) inAuthorization(_ context.Context, r Request) error {
	given := r.Header.Get("Authorization")
	if given == "" {
		return unauthenticated("there is no header Authorization")
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
}

// bearer wants a secret as a bearer token (RFC 6750, section 2.1).
func (s secrets) bearer(_ context.Context, r Request) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return unauthenticated("there is no header Authorization with a bearer token")
	}
	if !s.hold(strings.TrimSpace(token)) {
		return unauthenticated("the bearer token is no secret of the source")
	}
	return nil
}

// inQuery wants a secret in the URL, for senders that neither sign nor set
// headers.
func (s secrets) inQuery(_ context.Context, r Request) error { return s.inValues(r.Query) }

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

// either wants one of two proofs and tells why the first was none. Both are
// always asked.
func either(first, second proof) proof {
	return func(ctx context.Context, r Request) error {
		err, other := first(ctx, r), second(ctx, r)
		if other == nil {
			return nil
		}
		return err
	}
}
