// Package webhook turns what a registry posts after a push into image
// references that a manifest may name, and refuses whoever cannot prove to be
// that registry.
//
// # Model
//
// A [Source] is one configured sender of one [Kind]. [Source.Receive] takes a
// request as it came, in this order:
//
//	authentic?  by signature, secret or Google's token, over the raw body
//	read        the sender's own format → events
//	settle      events → pushes: host, name, tag and digest by the grammar of pkg/image
//
// A [Delivery] says what came of it: pushes, or why there are none. Whatever is
// authentic and JSON is a delivery and no error, also a deletion or a test ping:
// registries answer a refusal by switching the webhook off or by sending the
// same event for ever.
//
// # Names
//
// Some payloads carry no registry host, and some one that only the registry
// itself knows. So a name is made in three steps, all in lower case:
//
//	host     Options.Registry, or what the payload says
//	name     host "/" repository
//	rewrite  the first of Options.Rewrite whose From begins the name
//
// A push whose image still has no host is told with [Push.Unusable], so that
// somebody sees it: the payload is well, the source lacks a setting.
//
// # Invariants
//
//   - Nothing of a body is read before the request is authentic. Secrets are
//     compared in constant time, each of them, and an empty one never matches.
//   - Image, Tag and Digest of a push come from the parsers of pkg/image alone.
//   - A push has a tag. What is pushed by digest alone is a part of an index, an
//     attestation or a signature, and is left out.
//   - A URL inside a payload is never fetched. The one request that this package
//     makes is for the keys of kind gar, at a configured address.
//   - Texts from a payload that are shown are short and free of control characters.
//
// # Maintainer's notes
//
// encoding/json goes on after a value of the wrong type and leaves that field
// zero. decode and fill rely on it: a wrong shape reads as an absent field, which
// every sender's file has to expect anyway.
//
// Each sender's file begins with where its format is described. A kind needs
// two functions, one that proves and one that reads, and one line in senderOf.
package webhook
