package github_test

import (
	"fmt"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// BenchmarkEdited computes the tree of a folder of many files after one of them changed.
func BenchmarkEdited(b *testing.B) {
	for _, files := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(files), func(b *testing.B) {
			edit := github.EditListing(files)
			b.ReportAllocs()
			for b.Loop() {
				edit()
			}
		})
	}
}
