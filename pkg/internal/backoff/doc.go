// Package backoff computes how long to wait before the next try.
//
// A [Policy] is a pure function of the number of tries and of a random number, so that a
// stored count continues after a restart, and a test knows every wait.
// github.com/cenkalti/backoff does neither: each of its waits depends on the one before,
// and on a random source of its own.
package backoff
