//go:build !race

package api

// slower is how many times more time the store has than in production.
const slower = 1
