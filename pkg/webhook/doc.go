// Package webhook turns what a registry posts after a push into image
// references that a manifest may name, and refuses requests that do not prove to
// be that registry's.
//
// # Model
//
// A [Source] is one configured sender of one [Kind]. A request takes four steps:
//
//	Admit      headers and URL: a secret, Google's token, or a well-formed signature
//	prove      compare a signature with the raw body, where headers and URL did not decide
//	read       the sender's own format → events
//	normalise  events → pushes: host, name, tag and digest by the grammar of pkg/image
//
// [Source.Admit] is the first step, so that a caller can refuse a request before
// it spends memory on the body. [Admission.Receive] takes the others.
//
// A [Delivery] is the outcome: pushes, or why there are none. An authentic
// request in JSON is never an error, also when it is a deletion or a test ping:
// registries answer a refusal by switching the webhook off or by sending the
// same event for ever.
//
// # Names
//
// Some payloads carry no registry host, and some carry one that only the registry
// itself knows. A name is made in these steps, all in lower case:
//
//	bound    a kind with a host of its own takes pushes of that host, or of Options.Registry, alone
//	host     Options.Registry, or what the payload says
//	name     host "/" repository
//	rewrite  the first of Options.Rewrite whose From begins the name
//	filter   Options.Tags and Options.Images
//
// A push that cannot become an update has a [Push.Unusable], so that somebody
// sees it: its image has no host, a part of it breaks the grammar, or it came with
// more than [MaxPushes].
//
// # Invariants
//
//   - The body is not parsed before the request is authentic. Secrets are compared
//     in constant time, all of them, and an empty one never matches.
//   - Image, Tag and Digest of a push come from the parsers of pkg/image alone.
//   - A usable push has a tag. A push by digest alone is a part of an index, an
//     attestation or a signature, and is left out.
//   - Time and memory are linear in the body, and a delivery has at most MaxPushes pushes.
//   - A URL inside a payload is never fetched. The only request that this package
//     makes is for the keys of kind gar, at a configured address.
//   - Texts from a payload that are shown are short and free of control characters.
//
// # Maintainer's notes
//
// encoding/json goes on after a value of the wrong type and leaves that field
// zero. decode and fill rely on it: a wrong shape reads as an absent field, which
// every sender's file has to expect anyway.
//
// Each sender's file begins with the address of its format's description. A kind
// needs two functions, one that proves and one that reads, and one line in senderOf.
// A kind that stands for one company's registry has its hosts in ownHosts.
package webhook
