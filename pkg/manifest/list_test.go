package manifest_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

const otherDigest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

func lister(t testing.TB, options manifest.Options, present ...image.Pattern) *manifest.Lister {
	t.Helper()
	l, err := manifest.NewLister(options, present)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// verdicts are what an update of one image finds in a file: by place, the reason for
// leaving it alone, or "".
func verdicts(t testing.TB, options manifest.Options, name string, path string, content []byte, digest ...string) map[manifest.Place]manifest.Reason {
	t.Helper()
	found := map[manifest.Place]manifest.Reason{}
	result := editorWith(t, options, update(t, name, "v999-other", digest...)).EditFile(path, content)
	for _, c := range result.Changes {
		found[c.Place] = ""
	}
	for _, s := range result.Skips {
		if s.Update >= 0 {
			found[s.Place] = s.Reason
		}
	}
	return found
}

// checkListing compares a listing with what an update of each image finds: whatever is
// listed has the state that the update tells, and whatever the update moves is listed.
func checkListing(t testing.TB, options manifest.Options, path string, content []byte, also ...string) manifest.Listing {
	t.Helper()
	listing := lister(t, options).List(path, content)
	names := also
	listed := map[string]manifest.Reason{}
	for _, r := range listing.References {
		names = append(names, r.Image.Name())
		listed[fmt.Sprint(r.Image.Name(), r.Place)] = r.Reason
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		plain, pinned := verdicts(t, options, name, path, content), verdicts(t, options, name, path, content, otherDigest)
		for _, r := range listing.References {
			if r.Image.Name() != name {
				continue
			}
			found := plain
			if r.Tag != "" && r.Digest != "" || options.Pin {
				found = pinned
			}
			reason, ok := found[r.Place]
			if r.Reason == manifest.SeveralVersions { // told once for a list
				ok, reason = true, cmp.Or(reason, r.Reason)
			}
			if !ok || reason != r.Reason {
				t.Errorf("%s %+v is listed as %q, an update finds %v %q", name, r.Place, r.Reason, ok, reason)
			}
		}
		for place, reason := range plain {
			if _, ok := listed[fmt.Sprint(name, place)]; !ok && reason == "" {
				t.Errorf("%s %+v is moved and not listed", name, place)
			}
		}
	}
	return listing
}

func TestListAgreesWithEdit(t *testing.T) {
	t.Parallel()
	references := 0
	for _, c := range goldens(t) {
		t.Run(c.name, func(t *testing.T) {
			var names []string
			for _, u := range c.updates {
				names = append(names, u.Image.Name())
			}
			references += len(checkListing(t, manifest.Options{}, c.path, c.in, names...).References)
			checkListing(t, manifest.Options{Pin: true}, c.path, c.in, names...)
		})
	}
	if references < 300 {
		t.Errorf("only %d references are listed", references)
	}
}
