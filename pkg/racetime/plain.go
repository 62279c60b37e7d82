//go:build !race

package racetime

// Slower is how many times more time the store has than in production.
const Slower = 1
