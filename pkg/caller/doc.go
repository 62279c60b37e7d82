// Package caller finds out who sends a request: from a bearer token to a
// [Principal].
//
// # Model
//
// There are two kinds of callers. A named one has secrets, of which hashes alone are
// kept. A federated one has none: an [Issuer] that is trusted, such as GitHub
// Actions, signs a short-lived token (OpenID Connect) whose claims say which job of
// which repository sends it. A token is every federated caller whose claims fit.
//
//	token → a known secret                     the named caller
//	token → iss, unverified → Issuer           signature, audience and time, verified
//	      → claims → the callers that they fit the federated callers
//
// # Invariants
//
//   - Only issuers of the configuration are ever asked for keys, whatever a token says.
//   - RS256 and ES256 alone are taken: none and HMAC by a public key are refused
//     before a key is looked up.
//   - Nothing of a token is believed before its signature is verified; the issuer's
//     name alone picks who verifies it.
//   - No error holds a token or a secret.
package caller
