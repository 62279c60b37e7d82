// Package image holds the values that name container images: repository, tag and
// digest, and patterns of tags.
//
// The grammar of a reference is that of the OCI distribution specification as implemented by
// github.com/distribution/reference:
//
//	reference  = repository [ ":" tag ] [ "@" digest ]
//	repository = [ host [ ":" port ] "/" ] path
//	tag        = [A-Za-z0-9_] [A-Za-z0-9._-]{0,127}
//	digest     = "sha256:" 64 hex | "sha512:" 128 hex
//
// Every type is an immutable value that only a Parse function can fill. All but Pattern
// are comparable. A zero value means "none" and is safe to print. String returns the
// text as it was spelled; Name returns the normalised name by which repositories are
// compared: nginx, docker.io/library/nginx and index.docker.io/library/nginx are one
// image.
//
// Two things are stricter here than in the library. Upper case is refused in the host
// as well, because names are compared byte by byte. A tag beside a digest is never
// dropped.
//
// A Pattern is a regular expression over versions, with a bounded length and a bounded
// cost of a match.
//
// Nothing in this package touches a network or a clock, and everything in it is
// safe for concurrent use.
package image
