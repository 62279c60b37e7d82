// Package policy decides whether a caller may move an image to a version in a
// target. It is pure: no network, no clock, no log.
//
// # Model
//
// A [Rule] names callers, image patterns and targets, and may narrow the
// versions. A [Policy] is a list of rules. A [Move] is allowed if one rule fits it in
// all four respects, and denied otherwise.
//
//	caller  one of the caller's names is in Rule.Callers
//	image   one of Rule.Images matches the image's normalised name
//	target  is in Rule.Targets, or the rule names none
//	version is within Rule.Versions, or the rule has none
//
// A rule that refuses downgrades allows a move as long as no present version is higher,
// which its caller finds out; one that may not override a freeze allows no move that
// asks for it.
//
// A [Freeze] reports whether a target is frozen at a time, and until when.
//
// # Image patterns
//
// A pattern is a doublestar glob over a normalised name, such as
// ghcr.io/octo-org/**, which may hold claims of the caller's token:
// ghcr.io/${repository} or ghcr.io/${repository}/**. A claim is replaced by its text
// in lower case. The text must be one or more path components of the OCI grammar, so
// it is never a glob, a host or empty; with any other text, or without the claim, the
// pattern matches nothing. The first component of a
// pattern is the registry and must be literal, and a component that holds a claim
// holds no wildcard, since web* would match what another caller owns.
//
// # Invariants
//
//   - The decision of a rule without claims in its patterns does not depend on the
//     token's claims.
//   - A refusal describes only rules that name the caller.
package policy
