package image_test

import (
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

var (
	hex64  = strings.Repeat("0a", 32)
	hex128 = strings.Repeat("0f", 64)
)

func TestParseTag(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"1", "latest", "05-06-42a252", "_x", "v1.2.3-rc.1", "A_b", strings.Repeat("a", 128)} {
		if got, err := image.ParseTag(in); err != nil || got.String() != in || got.IsZero() {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	tests := []struct {
		name, in string
		want     error
		says     string
	}{
		{"empty", "", image.ErrEmpty, "is empty"},
		{"129 bytes", strings.Repeat("a", 129), image.ErrTooLong, "129"},
		{"newline", "1\n2", image.ErrInvalid, `holds '\n'`},
		{"blank", "1 2", image.ErrInvalid, "holds ' '"},
		{"plus", "1.0+build", image.ErrInvalid, "holds '+'"},
		{"digest behind it", "1@sha256", image.ErrInvalid, "holds '@'"},
		{"begins with a dash", "-1", image.ErrInvalid, "begins with '-'"},
		{"begins with a dot", ".1", image.ErrInvalid, "begins with '.'"},
		{"not ASCII", "é", image.ErrInvalid, `'\u00e9'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := image.ParseTag(tt.in)
			checkRefusal(t, err, tt.want, tt.says)
		})
	}
}

func TestParseDigest(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"sha256:" + hex64, "sha512:" + hex128} {
		if got, err := image.ParseDigest(in); err != nil || got.String() != in || got.IsZero() {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	tests := []struct {
		name, in string
		want     error
		says     string
	}{
		{"empty", "", image.ErrEmpty, "is empty"},
		{"no algorithm", hex64, image.ErrInvalid, "does not begin with"},
		{"other algorithm", "md5:" + hex64, image.ErrInvalid, "does not begin with"},
		{"short", "sha256:abc", image.ErrInvalid, "has 3 hexadecimal digits"},
		{"long", "sha256:" + hex128, image.ErrInvalid, "has 128 hexadecimal digits"},
		{"upper case", "sha256:" + strings.ToUpper(hex64), image.ErrInvalid, "holds 'A'"},
		{"newline", "sha256:" + hex64 + "\n", image.ErrInvalid, `holds '\n'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := image.ParseDigest(tt.in)
			checkRefusal(t, err, tt.want, tt.says)
		})
	}
}
