// Package sandbox is an embedded GitHub: an http.Handler that speaks the part
// of the REST API that reads a branch and commits to it, on real git
// repositories on disk.
package sandbox
