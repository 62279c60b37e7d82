package update_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// A stored request that was taken before a newer one came by the other door is not
// put on top of it.
func TestOlderRequestComesLate(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(r update.Request, minutes int, paths ...string) update.Request {
		r.At, r.Paths = noon.Add(time.Duration(minutes)*time.Minute), paths
		return r
	}
	b := &branch{files: map[string]string{"apps/a.yaml": "image: nginx:0\n", "charts/b.yaml": "image: nginx:0\n"}}
	s := newService(b, true)
	if _, err := s.Update(t.Context(), at(request(t, "nginx", "2"), 2)); err != nil {
		t.Fatal(err)
	}
	var got []update.Status
	for _, r := range s.Apply(t.Context(), "refty-yapi/refty-infra-test@main", []update.Request{
		at(request(t, "nginx", "1"), 1),
		at(request(t, "nginx", "1"), 1, "charts/**"),
		at(request(t, "nginx", "3"), 3, "apps/**"),
		request(t, "nginx", "3"), // of no known time
	}) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		got = append(got, r.Status)
	}
	want := []update.Status{update.Superseded, update.Superseded, update.Committed, update.Committed}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestApplyToNoTarget(t *testing.T) {
	t.Parallel()
	s := newService(&branch{}, true)
	results := s.Apply(t.Context(), "gone", []update.Request{request(t, "nginx", "1")})
	if len(results) != 1 || results[0].Err == nil || results[0].ID != "gone" ||
		results[0].Err.Error() != "gone is not a target of this service; it writes to refty-yapi/refty-infra-test@main" {
		t.Errorf("%+v", results)
	}
}
