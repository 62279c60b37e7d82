package image_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

func TestPattern(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, version string
		want             bool
	}{
		{"-alpine$", "1.2-alpine", true},
		{"-alpine$", "1.2", false},
		{"^api-", "api-1.0", true},
		{"^api-", "old-api-1.0", false},
		{"api", "old-api-1.0", true},
		{`^v?\d+\.\d+\.\d+$`, "v1.2.3", true},
		{`^\d{8}-[0-9a-f]{40}$`, "20261125-" + strings.Repeat("a", 40), true},
		{"^$", "", true},
		{"(?i)RC", "1.0-rc1", true},
	}
	for _, tt := range tests {
		p, err := image.ParsePattern(tt.pattern)
		if err != nil {
			t.Fatalf("%s: %v", tt.pattern, err)
		}
		if got := p.Matches(tt.version); got != tt.want {
			t.Errorf("%s matches %q: %v", tt.pattern, tt.version, got)
		}
		if p.String() != tt.pattern || p.IsZero() {
			t.Errorf("%s prints as %q", tt.pattern, p)
		}
	}
	if zero := (image.Pattern{}); !zero.Matches("1") || !zero.Matches("") || !zero.IsZero() || zero.String() != "" {
		t.Error("the zero value does not match everything")
	}
}

func TestPatternRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern string
		kind    error
		says    string
	}{
		{"", image.ErrEmpty, "such as -alpine$"},
		{strings.Repeat("a", image.MaxPatternLength+1), image.ErrTooLong, "256 bytes"},
		{"(", image.ErrInvalid, "missing closing )"},
		{"a\nb", image.ErrInvalid, "control character"},
		{`(?=x)`, image.ErrInvalid, "RE2"},
		{`(a)\1`, image.ErrInvalid, "RE2"},
		{"(a{99}){9}", image.ErrTooLong, "fewer repetitions"},
		{strings.Repeat("x{999}", 40), image.ErrTooLong, "fewer repetitions"},
	}
	for _, tt := range tests {
		_, err := image.ParsePattern(tt.pattern)
		var refused *image.ParseError
		if !errors.As(err, &refused) || !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%.20q: %v", tt.pattern, err)
		}
	}
}

// BenchmarkPattern matches about the dearest pattern that is taken with the longest
// version: some microseconds for each byte of it.
func BenchmarkPattern(b *testing.B) {
	p, err := image.ParsePattern("(?:a?){140}$")
	if err != nil {
		b.Fatal(err)
	}
	version := strings.Repeat("a", image.MaxTagLength-1) + "-"
	for b.Loop() {
		p.Matches(version)
	}
}
