// Package api is the service's HTTP face.
//
// # Model
//
// openapi.yaml is the single source of the interface. The server, its types and
// its routes are generated from it (openapi.gen.go); requests are checked
// against it before a handler runs; Swagger UI shows it. Handlers translate: a
// body into an [update.Request], results into the answer, and nothing else.
//
// A request passes, in this order: the log line and the metrics, the one writer
// of errors, the recovery from panics, the caller's authentication, the check
// against the description, the handler.
//
// # Invariants
//
//   - No handler writes an error. It returns one, and problemOf, the one table,
//     makes an RFC 9457 problem of it. A status of 500 says nothing about the inside.
//   - A request is logged once, at its end. Neither queries nor headers nor
//     bodies are logged, so that no secret is.
//   - Strings stop here: what goes further in is parsed.
package api
