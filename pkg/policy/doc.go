// Package policy decides whether a caller may move an image to a version in a
// target. It computes from its arguments alone: no network, no clock, no log.
//
// # Model
//
// A [Rule] names callers, image patterns and targets, and may narrow the
// versions. A [Policy] is a list of rules; one that fits in all four allows the
// [Move]. Without a rule that fits, nothing is allowed.
//
//	caller  any of the caller's names stands in Rule.Callers
//	image   one of Rule.Images matches the image's normalised name
//	target  stands in Rule.Targets, or the rule names none
//	version lies within Rule.Versions, or the rule has none
//
// # Image patterns
//
// A pattern is a doublestar glob over a normalised name, such as
// ghcr.io/octo-org/**, which may hold claims of the caller's token:
// ghcr.io/${repository} or ghcr.io/${repository}/**. A claim stands for its text
// in lower case. The text must be one or more path components of the OCI grammar,
// so it is never a glob, never a host and never empty; with any other text, or
// without the claim, the pattern matches nothing. The first component of a
// pattern is the registry and must be literal, and a component that holds a claim
// holds no wildcard, since web* would match what another caller owns.
//
// # Invariants
//
//   - A rule without a claim in its patterns decides alike for all texts of all
//     claims: a caller widens nothing by what its token says.
//   - A refusal describes only rules that name the caller.
package policy
