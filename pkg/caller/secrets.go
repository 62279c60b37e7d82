package caller

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// errInvalidSecrets is wrapped by every error of ParseSecrets.
var errInvalidSecrets = errors.New("want name=secret pairs, separated by commas")

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Secrets hold the hashes of the secrets of named callers. They are immutable and safe
// for concurrent use. Nil has none.
type Secrets struct {
	known []secret
}

type secret struct {
	name   string
	hash   Hash
	length int // in bytes
}

// ParseSecrets reads name=secret pairs that are separated by commas; several
// secrets may share a name, but two names may not share a secret. A name is up to 64
// letters, digits, dots, hyphens and underscores. The error never holds a
// secret.
func ParseSecrets(text string) (*Secrets, error) {
	s := &Secrets{}
	for i, pair := range strings.Split(text, ",") {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case value == "":
			return nil, fmt.Errorf("%w: pair %d has no secret", errInvalidSecrets, i+1)
		case !namePattern.MatchString(name):
			return nil, fmt.Errorf("%w: the name of pair %d is empty or holds other than letters, digits, '.', '-' and '_'", errInvalidSecrets, i+1)
		}
		if other, taken := s.Holder(value); taken && other != name {
			return nil, fmt.Errorf("%w: %s and %s have the same secret; give each its own", errInvalidSecrets, other, name)
		}
		s.known = append(s.known, secret{name: name, hash: HashOf(value), length: len(value)})
	}
	if len(s.known) == 0 {
		return nil, fmt.Errorf("%w: there is none", errInvalidSecrets)
	}
	return s, nil
}

// Named are the callers in the order of their first secrets.
func (s *Secrets) Named() []Named {
	if s == nil {
		return nil
	}
	var named []Named
	for _, k := range s.known {
		i := slices.IndexFunc(named, func(n Named) bool { return n.Name == k.name })
		if i < 0 {
			i = len(named)
			named = append(named, Named{Name: k.name})
		}
		named[i].Secrets = append(named[i].Secrets, k.hash)
	}
	return named
}

// Names are the names of the callers.
func (s *Secrets) Names() []string {
	var names []string
	for _, n := range s.Named() {
		names = append(names, n.Name)
	}
	return names
}

// Shorter returns the names that have a secret of less than n bytes, each once.
func (s *Secrets) Shorter(n int) []string {
	var names []string
	if s == nil {
		return nil
	}
	for _, k := range s.known {
		if k.length < n && !slices.Contains(names, k.name) {
			names = append(names, k.name)
		}
	}
	return names
}

// Holder returns the name that the secret belongs to. Its time does not depend on
// which secret matches, if any.
func (s *Secrets) Holder(text string) (name string, ok bool) {
	if s == nil {
		return "", false
	}
	sum := HashOf(text)
	for _, k := range s.known {
		if subtle.ConstantTimeCompare(sum[:], k.hash[:]) == 1 {
			name, ok = k.name, true
		}
	}
	return name, ok
}
