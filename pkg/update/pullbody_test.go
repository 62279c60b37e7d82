package update

import (
	"regexp"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// visible is what GitHub would read as Markdown: the text without code, which it shows as
// it is.
var (
	fencedBlock = regexp.MustCompile("(?ms)^ *(`{3,})[a-z]*\n.*?^ *`{3,}$") //nolint:gocritic // ^ begins a line
	codeElement = regexp.MustCompile(`<code>[A-Za-z0-9 ]*(?:&#[0-9]+;[A-Za-z0-9 ]*)*</code>`)
	codeSpan    = regexp.MustCompile("`[^`|\n]*`")
)

func visible(body string) string {
	body = fencedBlock.ReplaceAllString(body, "")
	body = codeElement.ReplaceAllString(body, "")
	return codeSpan.ReplaceAllString(body, "")
}

// Nothing of what others wrote is anything but code, and the marker reads back what was put
// into it.
func FuzzBody(f *testing.F) {
	for _, text := range []string{
		"plain", "fixes #1, @mona", "<script>alert(1)</script>", "``` \n# title\n```", "````\n```", "a|b\nc", "-->", "--!>", "`code`", "[x](http://example.com)",
		"~~~\nx\n~~~", "\u202eevil", "https://example.com/?a=b&c=d", "&#35;1", "\r\n\r\n", "</code></details><img src=x>", "a``b```c````d",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			t.Skip("longer than any")
		}
		p := &plan{target: &target{}, requests: []Request{{ID: "one", Caller: text, Message: text, Source: Source{Repository: text, Revision: text, URL: text}}}}
		p.findings = []finding{{skipped: []Skip{{Path: text, Line: 3, Reason: "held"}}}}
		body := p.asked() + p.leftAlone() + folded("+"+strings.ReplaceAll(text, "\n", "\n+")+"\n")
		rest := visible(body)
		for _, left := range strings.Split("@#<>[]`&", "") {
			if strings.Contains(strings.ReplaceAll(strings.ReplaceAll(rest, "<details><summary>The difference</summary>", ""), "</details>", ""), left) {
				t.Fatalf("%q is left of %q:\n%s\n---\n%s", left, text, rest, body)
			}
		}
		if strings.Contains(rest, "://") {
			t.Fatalf("an address is left of %q:\n%s", text, rest)
		}
		marked := proposal{Heads: nil, Entries: []entry{{ID: "one", Caller: strings.ToValidUTF8(text, "?"), Request: []byte(`{}`)}}}
		comment := marked.marker()
		inside := strings.TrimSuffix(strings.TrimPrefix(comment, markerStart), markerEnd)
		if strings.Contains(inside, "--") || strings.ContainsAny(inside, "<>") {
			t.Fatalf("the marker can be ended: %s", comment)
		}
		read, ok := readMarker("text " + text + "\n" + comment + "\n")
		if !ok || read.Entries[0].Caller != marked.Entries[0].Caller {
			t.Fatalf("the marker of %q reads %+v", text, read)
		}
	})
}

func TestBranchNames(t *testing.T) {
	t.Parallel()
	repository, err := image.ParseRepository("ghcr.io/octo-org/web_app")
	if err != nil {
		t.Fatal(err)
	}
	m := Image{Repository: repository}
	for _, tt := range []struct {
		s      PullSettings
		images []Image
		want   string
	}{
		// printf 'production\0ghcr.io/octo-org/web_app' | sha256sum, and without the image
		{PullSettings{}, []Image{m}, "versions/production-ghcr-io-octo-org-web-app-8c0252d12e"},
		{PullSettings{Prefix: "bump/"}, []Image{m}, "bump/production-ghcr-io-octo-org-web-app-8c0252d12e"},
		{PullSettings{Group: GroupTarget}, []Image{m}, "versions/production-5e27c1f118"},
	} {
		if got := tt.s.branchName("production", tt.images); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	if one, other := (PullSettings{}).branchName("a b", []Image{m}), (PullSettings{}).branchName("a-b", []Image{m}); one == other {
		t.Errorf("two targets have the branch %s", one)
	}
	long := PullSettings{}.branchName(strings.Repeat("Very.Long ", 30), []Image{m})
	if n := len(strings.TrimPrefix(long, "versions/")); n > maxSlug+1+hashDigits {
		t.Errorf("%d characters: %s", n, long)
	}
}
