// Package racetime has the factor by which bounds of time grow under the race detector,
// which makes SQLite, which is Go here, some fifteen times slower; .ci/race compiles it
// without. Bounds that wait for the store are multiplied by it, in the program and in its
// tests alike.
package racetime
