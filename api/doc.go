// Package api is the service's HTTP face.
//
// # Model
//
// openapi.yaml is the single source of the interface. The server, its types and
// its routes are generated from it (openapi.gen.go); requests are checked
// against it before a handler runs; Swagger UI shows it. Handlers only translate: a
// body into an [update.Request], results into the answer.
//
// A request passes, in this order: the log line and the metrics, the one writer
// of errors, the recovery from panics, the caller's authentication, the check
// against the description, the handler.
//
// # Invariants
//
//   - No handler writes an error. It returns one, and problemOf, the one table,
//     turns it into an RFC 9457 problem. A 500 reveals nothing about the inside.
//   - A request is logged once, at its end. Queries, headers and bodies, which may
//     hold secrets, are not logged.
//   - Text is parsed here: other packages get typed values.
package api
