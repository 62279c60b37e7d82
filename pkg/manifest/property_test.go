package manifest_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

func TestGoldenInvariants(t *testing.T) {
	t.Parallel()
	for _, c := range goldens(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checkInvariants(t, c.in, c.updates, c.options)
			checkInvariants(t, c.in, withDigests(t, c.updates), manifest.Options{Pin: true})
		})
	}
}

// withDigests returns the updates, each with a digest.
func withDigests(t testing.TB, updates []manifest.Update) []manifest.Update {
	digest, err := image.ParseDigest(digestB)
	if err != nil {
		t.Fatal(err)
	}
	pinned := slices.Clone(updates)
	for i := range pinned {
		pinned[i].Digest = digest
	}
	return pinned
}

// TestGoldenVariants checks that line ends and a byte order mark make no
// difference to what is found and written.
func TestGoldenVariants(t *testing.T) {
	t.Parallel()
	crlf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }
	mark := func(b []byte) []byte { return append([]byte("\ufeff"), b...) }
	unended := func(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\n")) }
	variants := map[string]func([]byte) []byte{
		"crlf": crlf, "mark": mark, "crlf and mark": func(b []byte) []byte { return mark(crlf(b)) }, "no final newline": unended,
	}
	skip := map[string]string{
		"crlf": "has such line ends", "byte-order-mark": "has one", "utf16": "is no UTF-8",
	}
	sameButOffsets := cmpopts.IgnoreFields(manifest.Splice{}, "Start", "End")
	for _, c := range goldens(t) {
		if skip[c.name] != "" {
			continue
		}
		for name, variant := range variants {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				want := editorWith(t, c.options, c.updates...).Edit(c.in)
				want.Content = variant(want.Content)
				got := checkInvariants(t, variant(c.in), c.updates, c.options)
				if diff := cmp.Diff(want, got, sameButOffsets); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// names are images that lie close to each other.
var names = []string{
	"redis", "docker.io/library/redis", "octo-org/redis", "ghcr.io/octo-org/app", "ghcr.io/octo-org/app-z",
	"ghcr.io/octo-org/app/sub", "my.ghcr.io/octo-org/app", "localhost:5000/app", "app", "example.com/a/redis",
}

func versions() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"1.10", "1e5", "0123", "7e10", "on", "NO", "null", "2031-01-02", "1_000", "0x1f", "y", "latest", "v1.2.3", "05-06-42a252", "1."}),
		rapid.StringMatching(`[A-Za-z0-9_][A-Za-z0-9._-]{0,12}`),
	)
}

const digestA, digestB = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

// reference draws a reference in one of its string forms.
func reference() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		s := rapid.SampledFrom(names).Draw(t, "name")
		switch rapid.IntRange(0, 5).Draw(t, "form") {
		case 0:
			return s
		case 1:
			return s + "@" + digestA
		case 2:
			return s + ":" + versions().Draw(t, "tag") + "@" + digestA
		default:
			return s + ":" + versions().Draw(t, "tag")
		}
	})
}

// scalar draws a value as YAML may spell it in a line.
func scalar(text string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		prefix := rapid.SampledFrom([]string{"", "", "", "!!str ", "!own "}).Draw(t, "tag")
		switch rapid.IntRange(0, 4).Draw(t, "style") {
		case 0:
			return prefix + `"` + text + `"`
		case 1:
			return prefix + "'" + text + "'"
		case 2:
			return prefix + `"` + strings.ReplaceAll(text, "/", `\x2f`) + `"`
		default:
			return prefix + text
		}
	})
}

// block draws a few lines of YAML that may hold references.
func block() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		ref := reference().Draw(t, "reference")
		name := rapid.SampledFrom(names).Draw(t, "name")
		tag := scalar(versions().Draw(t, "tag")).Draw(t, "tag scalar")
		value := scalar(ref).Draw(t, "scalar")
		comment := rapid.SampledFrom([]string{"", "", "", " # é " + ref, " # versions-service: hold", " # versions-service: ignore"}).Draw(t, "comment")
		switch rapid.IntRange(0, 15).Draw(t, "shape") {
		case 0:
			return "image: " + value + comment
		case 1:
			return "containers:\n- image: " + value + comment + "\n- {name: x, image: " + ref + "}"
		case 2:
			return "image:\n  repository: " + name + "\n  tag: " + tag + comment
		case 3:
			return "image: {tag: " + tag + ", registry: ghcr.io, repository: octo-org/app}" + comment
		case 4:
			return "images:\n- newTag: " + tag + comment + "\n  name: " + name
		case 5:
			return "images:\n- name: " + name + "\n  newTag: " + tag + "\n  digest: " + digestA
		case 6:
			return "args: [\"--x=" + ref + "\", '" + ref + "']"
		case 7:
			return "text: |\n  # " + ref + "\n  run " + ref + comment + "\n\n  image: " + ref
		case 8:
			return "text: >-\n  " + ref + "\n  " + ref + "."
		case 9:
			return "json: '{\"image\":\"" + ref + "\",\"x\":\"\\n" + ref + "\"}'"
		case 10:
			return "é: ${X:-" + ref + "}\nè: '{{ x }} " + ref + "'"
		case 11:
			return "a: &a {repository: " + name + ", tag: " + tag + "}\nb: {<<: *a, repository: ghcr.io/octo-org/app}"
		case 12:
			return "a: {repository: " + name + ", tag: " + tag + ", digest: &d " + digestA + "}\nb: {repository: " + name + ", digest: *d, tag: v1}\nc: {repository: " + name + ", digest: *d}"
		case 14:
			return "image:\n  repository: " + name + "\n  tag: " + tag + "\n  digest: ''" + comment
		case 13:
			return "values: |\n  image:\n    repository: " + name + "\n    tag: '" + versions().Draw(t, "inner tag") + "'" + comment + "\n    digest: " + digestA + "\n  next: " + ref
		default:
			return "x: &t " + tag + "\na: {repository: " + name + ", tag: *t}\nb: *t"
		}
	})
}

// TestRandomFiles builds files of random blocks and checks what must hold for
// every file, with a second parser as judge.
func TestRandomFiles(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		blocks := rapid.SliceOfN(block(), 1, 4).Draw(rt, "blocks")
		var b strings.Builder
		for i, text := range blocks {
			fmt.Fprintf(&b, "k%d:\n  %s\n", i, strings.ReplaceAll(text, "\n", "\n  "))
			if rapid.Bool().Draw(rt, "new document") {
				b.WriteString("---\n")
			}
		}
		content := []byte(b.String())
		if rapid.Bool().Draw(rt, "crlf") {
			content = bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))
		}
		updates := []manifest.Update{
			update(t, "ghcr.io/octo-org/app", versions().Draw(rt, "version of app")),
			update(t, "redis", versions().Draw(rt, "version of redis"), digestB),
		}
		r := checkInvariants(rt, content, updates, manifest.Options{})
		checkJudged(rt, content, r, updates)
		updates = withDigests(t, updates)
		r = checkInvariants(rt, content, updates, manifest.Options{Pin: true})
		checkJudged(rt, content, r, updates)
	})
}
