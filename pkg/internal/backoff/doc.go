// Package backoff says how long to wait before something is tried again.
//
// A [Policy] is plain data and a pure function of the number of tries and of a
// random number, so that a count which was stored goes on after a restart, and a
// test knows every wait. That is why it is not github.com/cenkalti/backoff, whose
// waits follow from each other and from a random source of its own.
package backoff
