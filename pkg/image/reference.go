package image

import "strings"

// Reference is a repository with the tag, the digest, both or neither that
// stood behind it. No tag is ever made up: a bare name has none.
type Reference struct {
	repository Repository
	tag        Tag
	digest     Digest
}

// ParseReference reads a reference such as nginx:1.27 or
// ghcr.io/x/y:1@sha256:…. The error is a *ParseError with one of ErrEmpty,
// ErrTooLong, ErrUpperCase and ErrInvalid.
func ParseReference(s string) (Reference, error) {
	if s == "" {
		return Reference{}, refuse(ErrEmpty, "the image reference is empty")
	}
	var ref Reference
	var err error
	name, digest, ok := strings.Cut(s, "@")
	if ok {
		if ref.digest, err = ParseDigest(digest); err != nil {
			return Reference{}, asInvalid(err)
		}
	}
	name, tag, ok := cutTag(name)
	if ok {
		if ref.tag, err = ParseTag(tag); err != nil {
			return Reference{}, asInvalid(err)
		}
	}
	if name == "" {
		return Reference{}, refuse(ErrInvalid, "the image reference ", quote(s), " has no name")
	}
	if ref.repository, err = parseName(name); err != nil {
		return Reference{}, err
	}
	return ref, nil
}

// asInvalid keeps ErrEmpty for an empty reference: an empty part makes the
// whole invalid.
func asInvalid(err error) error {
	return refuse(ErrInvalid, err.Error())
}

// Repository returns the repository.
func (r Reference) Repository() Repository { return r.repository }

// Tag returns the tag; its zero value means that there was none.
func (r Reference) Tag() Tag { return r.tag }

// Digest returns the digest; its zero value means that there was none.
func (r Reference) Digest() Digest { return r.digest }

// IsZero reports whether the reference is the zero value.
func (r Reference) IsZero() bool { return r.repository.IsZero() }

// String returns the reference as it was spelled.
func (r Reference) String() string {
	s := r.repository.String()
	if !r.tag.IsZero() {
		s += ":" + r.tag.String()
	}
	if !r.digest.IsZero() {
		s += "@" + r.digest.String()
	}
	return s
}
