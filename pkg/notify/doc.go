// Package notify tells others how updates ended, by Standard Webhooks
// (https://www.standardwebhooks.com).
//
// # Model
//
//	outcome → notices in the store, in the same transaction    package queue
//	Deliverer: what is due of an endpoint → Endpoint.Send → removed, or tried again later
//
// A message is a POST of JSON with the headers webhook-id, webhook-timestamp and
// webhook-signature. Its id is the same at every attempt, its timestamp is that of the
// attempt, and it has a signature for each secret of the endpoint, so that one can be
// replaced. An answer of 2xx is a delivery, and everything else a failure: redirects are
// not followed.
//
// # Invariants
//
//   - A message is delivered at least once: it is removed after its answer, so a process that
//     ends in between sends it again. Receivers drop what has an id that they know.
//   - An endpoint that fails is left alone for a while, which grows to five minutes; the
//     other endpoints and all updates go on.
//   - A message is given up after [MaxAttempts] attempts, after a day, and when the endpoint
//     answers 410.
//   - Addresses that are not public are refused unless the endpoint permits them; see
//     package guard.
//   - Neither an error nor a log line has a secret, or more of the URL than its host.
package notify
