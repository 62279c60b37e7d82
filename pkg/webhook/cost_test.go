package webhook_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cost"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// FuzzCost repeats a fragment of a body: memory and time are linear in it, for
// every kind.
func FuzzCost(f *testing.F) {
	f.Add(0, `{"updated_tags":[`, `"a",`, `"z"],"docker_url":"quay.io/a/b"}`)
	f.Add(0, `{"events":[`, `{},`, `{}]}`)
	f.Add(0, `{"events":[`, `{"action":"push","id":"x","target":{"repository":"a","tag":"1"}},`, `{}]}`)
	f.Add(0, `[`, `{"type":"PUSH_ARTIFACT"},`, `{}]`)
	f.Add(0, `[`, `{"eventType":"Microsoft.ContainerRegistry.ImagePushed"},`, `{}]`)
	f.Add(0, `{"type":"PUSH_ARTIFACT","event_data":{"resources":[`, `{"tag":"x"},`, `{}]}}`)
	f.Add(0, `{"artifact":{"image":"a/b","tags":[`, `"a",`, `"z"]}}`)
	f.Add(0, `{"artifact":{`, `"image":"a",`, `"image":"b"}}`)
	f.Add(0, `{"image":"`, `a/`, `"}`)
	f.Add(0, ``, `[`, ``)
	f.Add(0, `{"data":{"path":"`, `a/`, `","tag":"1"},"domain":"docker","event_type":"pushed"}`)
	f.Add(0, `{"message":{"data":"`, `AAAA`, `"}}`)
	kinds := webhook.Kinds()
	sources := map[webhook.Kind]*webhook.Source{}
	for _, kind := range kinds {
		sources[kind] = newSource(f, options(kind))
	}
	f.Fuzz(func(t *testing.T, pick int, prefix, fragment, suffix string) {
		if len(prefix)+len(suffix) > 4<<10 || len(fragment) > 250 {
			t.Skip("as large as a body may be")
		}
		body := func(times int) []byte {
			return slices.Concat([]byte(prefix), bytes.Repeat([]byte(fragment), times), []byte(suffix))
		}
		for i := range kinds {
			kind := kinds[(i+max(pick, 0))%len(kinds)]
			few, many := authentic(kind, body(1000)), authentic(kind, body(4000))
			receive := func(r request) func() {
				return func() { _, _ = send(t.Context(), sources[kind], r) }
			}
			cost.Linear(t, string(kind), receive(few), receive(many))
		}
	})
}
