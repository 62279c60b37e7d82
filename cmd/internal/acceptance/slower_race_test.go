//go:build race

package acceptance_test

// slower is how many times more time the store has than in production, as in api.
const slower = 10
