//go:build race

package queue

// slower is how many times more time the store has than in production: the race detector
// makes SQLite, which is Go here, some fifteen times slower.
const slower = 10
