//go:build race

package github_test

// raceDetector tells that memory is no measure: the detector takes several times
// as much.
const raceDetector = true
