package safetext_test

import (
	"runtime"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

func TestLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		most       int
		want       string
	}{
		{"plain", "no such branch", 80, "no such branch"},
		{"empty", "", 80, ""},
		{"only white space", " \r\n\t", 80, ""},
		{"surrounded", "  a \n", 80, "a"},
		{"several lines", "a\r\n\r\n\tb", 80, "a b"},
		{"escape sequence", "a\x1b[31mb", 80, "a [31mb"},
		{"C1", "a\u009b31mb", 80, "a 31mb"},
		{"line separator", "a\u2028b\u2029c\u0085d", 80, "a b c d"},
		{"zero byte", "a\x00b", 80, "a b"},
		{"bidi and zero width", "a\u202eb\u200bc\ufeffd", 80, "a\ufffdb\ufffdc\ufffdd"},
		{"no UTF-8", "a\xff\xfeb", 80, "a\ufffd\ufffdb"},
		{"other scripts", "Größe 大 😀", 80, "Größe 大 😀"},
		{"as long as allowed", "abcd", 4, "abcd"},
		{"longer", "abcde", 4, "abcd…"},
		{"longer by white space", "abcd \n ", 4, "abcd"},
		{"cut before a rune", "aé大", 4, "aé…"},
		{"cut after a word", "ab cd", 3, "ab…"},
		{"nothing allowed", "a", 0, "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := safetext.Line(tt.text, tt.most); got != tt.want {
				t.Errorf("Line(%q, %d) = %q, want %q", tt.text, tt.most, got, tt.want)
			}
		})
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		most       int
		want       string
	}{
		{"plain", "imgae", 80, `"imgae"`},
		{"empty", "", 80, `""`},
		{"escaped", "a\"\n\x1b\u202e", 80, `"a\"\n\x1b\u202e"`},
		{"longer", "abcde", 4, `"abcd"…`},
		{"cut before a rune", "ab大", 4, `"ab"…`},
		{"no UTF-8", "\xff\xff", 1, `"\xff"…`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := safetext.Quote(tt.text, tt.most); got != tt.want {
				t.Errorf("Quote(%q, %d) = %s, want %s", tt.text, tt.most, got, tt.want)
			}
		})
	}
}

// TestCostIsBounded shortens a text of eight mebibytes: only what is shown may
// take memory.
func TestCostIsBounded(t *testing.T) {
	text := strings.Repeat("a\n", 4<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	safetext.Line(text, 300)
	safetext.Quote(text, 300)
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > 64<<10 {
		t.Errorf("%d bytes for 600 that are shown", allocated)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\x1b[31mb\u202e\xff", 5)
	f.Add(strings.Repeat(" \n", 9)+"大", 2)
	f.Fuzz(func(t *testing.T, text string, most int) {
		most = max(0, min(most, 1<<10))
		for _, got := range []string{safetext.Line(text, most), safetext.Quote(text, most)} {
			if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q of %q", got, text)
			}
		}
		got := safetext.Line(text, most)
		if len(got) > most+len("…") || strings.TrimSpace(got) != got {
			t.Errorf("Line(%q, %d) = %q", text, most, got)
		}
		if again := safetext.Line(got, most+len("…")); again != got {
			t.Errorf("%q becomes %q when it is made safe once more", got, again)
		}
	})
}
