package manifest_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// overridden is one case of testdata/overrides: a folder with named.yaml, in.yaml,
// out.yaml and report.
type overridden struct {
	name      string
	named, in []byte
	options   manifest.Options
}

func overriddens(t testing.TB) []overridden {
	t.Helper()
	paths, err := filepath.Glob("testdata/overrides/*/in.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases of overrides: %v", err)
	}
	var cases []overridden
	for _, path := range paths {
		dir := filepath.Dir(path)
		cases = append(cases, overridden{
			filepath.Base(dir), readFile(t, filepath.Join(dir, "named.yaml")), readFile(t, path),
			manifest.Options{Pin: filepath.Base(dir) == "pinned"},
		})
	}
	return cases
}

// overridesOf are the overrides of what a file names.
func overridesOf(t testing.TB, named []byte, updates ...manifest.Update) []manifest.Override {
	t.Helper()
	var all []manifest.Override
	for _, n := range editor(t, updates...).Edit(named).Namings {
		all = append(all, manifest.Override{Key: n.Key, Update: updates[n.Update]})
	}
	return all
}

func overrideUpdates(t testing.TB) []manifest.Update {
	t.Helper()
	return []manifest.Update{update(t, "ghcr.io/octo-org/app", "v2.0.0"), update(t, "redis", "8.10", digestB)}
}

// checkOverrides checks what must hold for the overrides of any file.
func checkOverrides(t failer, content []byte, overrides []manifest.Override, options manifest.Options) manifest.Result {
	t.Helper()
	original := bytes.Clone(content)
	r := manifest.EditOverrides("", content, overrides, options)
	if !bytes.Equal(content, original) {
		t.Fatalf("the content that was given was changed")
	}
	checkConfined(t, content, r)
	updates := make([]manifest.Update, len(overrides))
	for i, o := range overrides {
		updates[i] = o.Update
	}
	checkJudged(t, content, r, updates)
	pairs := manifest.IndexPairs(content)
	lone := func(update int) {
		if !pairs.Lone(overrides[update].Key) {
			t.Fatalf("the index misses an override at %+v", overrides[update].Key)
		}
	}
	for _, c := range r.Changes {
		lone(c.Update)
	}
	for _, s := range r.Skips {
		lone(s.Update)
	}
	if len(r.Changes)+len(r.Current)+len(r.Skips) > 0 && !manifest.IndexWords(content).MayHoldPair() && !bytes.ContainsRune(content, '?') {
		t.Fatalf("the index of words hides an override: %+v", r)
	}
	again := manifest.EditOverrides("", r.Content, overrides, options)
	if len(again.Changes) > 0 || len(again.Current) != len(r.Current)+len(r.Changes) || len(again.Skips) != len(r.Skips) {
		t.Fatalf("a second edit finds %+v, the first %+v", again, r)
	}
	return r
}

func TestGoldenOverrides(t *testing.T) {
	t.Parallel()
	crlf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }
	mark := func(b []byte) []byte { return append([]byte("\ufeff"), b...) }
	unended := func(b []byte) []byte { return bytes.TrimSuffix(b, []byte("\n")) }
	variants := map[string]func([]byte) []byte{
		"as it is": func(b []byte) []byte { return b },
		"crlf":     crlf, "mark": mark, "crlf and mark": func(b []byte) []byte { return mark(crlf(b)) }, "no final newline": unended,
	}
	sameButOffsets := cmpopts.IgnoreFields(manifest.Splice{}, "Start", "End")
	for _, c := range overriddens(t) {
		dir := filepath.Join("testdata/overrides", c.name)
		updates := overrideUpdates(t)
		if c.options.Pin {
			updates = withDigests(t, updates)
		}
		want := manifest.EditOverrides("", c.in, overridesOf(t, c.named, updates...), c.options)
		if *updateGolden {
			writeFile(t, filepath.Join(dir, "out.yaml"), want.Content)
			writeFile(t, filepath.Join(dir, "report"), []byte(reportOf(want)))
		}
		if diff := cmp.Diff(string(readFile(t, filepath.Join(dir, "report"))), reportOf(want)); diff != "" {
			t.Errorf("%s: report (-want +got):\n%s", c.name, diff)
		}
		want.Content = readFile(t, filepath.Join(dir, "out.yaml"))
		for name, variant := range variants {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				want := want
				want.Content = variant(want.Content)
				got := checkOverrides(t, variant(c.in), overridesOf(t, variant(c.named), updates...), c.options)
				if diff := cmp.Diff(want, got, sameButOffsets); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// FuzzOverrides checks the invariants of overrides and of the index of pairs on any
// two files.
func FuzzOverrides(f *testing.F) {
	for _, c := range overriddens(f) {
		f.Add(c.named, c.in)
		f.Add(c.named, bytes.ReplaceAll(c.in, []byte("\n"), []byte("\r\n")))
		f.Add(c.in, c.named)
	}
	f.Add([]byte("image: {repository: redis}\n"), []byte(releaseFiles))
	f.Fuzz(func(t *testing.T, named, content []byte) {
		var overrides []manifest.Override // of each key one, as callers ask for
		asked := map[manifest.Key]bool{}
		for _, o := range overridesOf(t, named, overrideUpdates(t)...) {
			if !asked[o.Key] {
				asked[o.Key] = true
				overrides = append(overrides, o)
			}
		}
		checkOverrides(t, content, overrides, manifest.Options{})
		checkOverrides(t, content, overrides, manifest.Options{Pin: true})
		for _, r := range manifest.IndexPairs(content).Releases() {
			if len(r.Files) == 0 || !manifest.IndexWords(content).MayHoldRelease() && !bytes.ContainsRune(content, '?') {
				t.Errorf("the index of words hides %+v", r)
			}
		}
	})
}
