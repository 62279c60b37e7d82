// Package acceptance holds the tests of the whole program: over HTTP, against the
// embedded GitHub on real git repositories, with the queue on SQLite and, where
// TEST_DATABASE_URL names a server, on PostgreSQL. Its benchmarks measure an
// update against what people do instead.
package acceptance
