package manifest_test

import (
	"bytes"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// failer is what invariants need of a test, be it of testing or of rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkInvariants checks what must hold for any file and any updates, and
// returns the result.
func checkInvariants(t failer, content []byte, updates []manifest.Update, options manifest.Options) manifest.Result {
	t.Helper()
	original := bytes.Clone(content)
	e, err := manifest.NewEditor(updates, options)
	if err != nil {
		t.Fatalf("NewEditor: %v", err)
	}
	r := e.Edit(content)
	if !bytes.Equal(content, original) {
		t.Fatalf("the content that was given was changed")
	}
	checkConfined(t, content, r)
	if diff := cmp.Diff(e.EditUnscreened(content), r); diff != "" {
		t.Fatalf("the screen hides something (-unscreened +screened):\n%s", diff)
	}
	if len(r.Changes)+len(r.Current)+len(r.Skips) > 0 && !e.MayMatch(manifest.IndexWords(content)) {
		t.Fatalf("the index misses what the file holds: %+v", r)
	}
	checkIdempotent(t, e, r)
	checkOrder(t, content, updates, options, r)
	if options.Pin {
		checkPinned(t, r)
	}
	return r
}

// checkPinned checks that whatever has the wanted version has a digest, too.
func checkPinned(t failer, r manifest.Result) {
	t.Helper()
	for _, c := range r.Changes {
		if c.ToDigest == "" {
			t.Fatalf("a change to no digest: %+v", c)
		}
	}
	for _, c := range r.Current {
		if c.Digest == "" {
			t.Fatalf("current without a digest: %+v", c)
		}
	}
}

// checkConfined checks that output equals input outside the reported splices,
// and is the very input when there are none.
func checkConfined(t failer, content []byte, r manifest.Result) {
	t.Helper()
	if len(r.Changes) == 0 {
		if len(r.Content) != len(content) || len(content) > 0 && &r.Content[0] != &content[0] {
			t.Fatalf("no change, but another slice")
		}
		return
	}
	var splices []manifest.Splice
	for _, c := range r.Changes {
		if len(c.Splices) == 0 {
			t.Fatalf("a change without bytes: %+v", c)
		}
		splices = append(splices, c.Splices...)
	}
	slices.SortFunc(splices, func(a, b manifest.Splice) int { return a.Start - b.Start })
	splices = slices.Compact(splices)
	var rebuilt []byte
	at := 0
	for _, s := range splices {
		if s.Start < at || s.End < s.Start || s.End > len(content) {
			t.Fatalf("splices overlap or leave the file: %+v", splices)
		}
		rebuilt = append(append(rebuilt, content[at:s.Start]...), s.Text...)
		at = s.End
	}
	if rebuilt = append(rebuilt, content[at:]...); !bytes.Equal(rebuilt, r.Content) {
		t.Fatalf("bytes changed outside the splices (-told +got):\n%s", cmp.Diff(string(rebuilt), string(r.Content)))
	}
}

// checkIdempotent checks that a second edit finds every changed reference
// current, and skips what the first one skipped.
func checkIdempotent(t failer, e *manifest.Editor, r manifest.Result) {
	t.Helper()
	again := e.Edit(r.Content)
	if len(again.Changes) > 0 {
		t.Fatalf("a second edit changes %+v in\n%s", again.Changes, r.Content)
	}
	if got, want := len(again.Current), len(r.Current)+len(r.Changes); got != want {
		t.Fatalf("a second edit finds %d current references, want %d: %+v in\n%s", got, want, again.Current, r.Content)
	}
	if len(again.Skips) != len(r.Skips) {
		t.Fatalf("a second edit skips %+v, the first %+v", again.Skips, r.Skips)
	}
}

// checkOrder checks that neither the order of updates nor their company matters:
// each alone, one after the other, leads to the same file.
func checkOrder(t failer, content []byte, updates []manifest.Update, options manifest.Options, r manifest.Result) {
	t.Helper()
	alone := content
	for _, u := range slices.Backward(updates) {
		e, err := manifest.NewEditor([]manifest.Update{u}, options)
		if err != nil {
			t.Fatalf("NewEditor: %v", err)
		}
		alone = e.Edit(alone).Content
	}
	if !bytes.Equal(alone, r.Content) {
		t.Fatalf("one by one the file differs (-one by one +together):\n%s", cmp.Diff(string(alone), string(r.Content)))
	}
}
