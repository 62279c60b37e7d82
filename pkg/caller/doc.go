// Package caller finds out who sends a request: from a bearer token to a
// [Principal].
//
// # Model
//
// There are two kinds of callers. A named one has secrets, of which only hashes are
// kept. A federated one has none: a trusted issuer, such as GitHub Actions, signs a
// short-lived token (OpenID Connect) whose claims identify the job and repository
// that send it. A token stands for every federated caller that its claims fit.
//
//	token → a known secret                     the named caller
//	token → iss, unverified → an issuer        signature, audience and time, verified
//	      → claims → the callers that they fit the federated callers
//
// # Invariants
//
//   - Only issuers of the configuration are ever asked for keys.
//   - RS256 and ES256 alone are taken: none and HMAC by a public key are refused
//     before a key is looked up.
//   - No claim is used before the signature is verified, except that iss selects the
//     issuer that verifies it.
//   - No error holds a token or a secret.
package caller
