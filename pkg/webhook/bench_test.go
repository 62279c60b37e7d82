package webhook_test

import (
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// BenchmarkReceive is what a delivery costs before it is stored.
func BenchmarkReceive(b *testing.B) {
	for _, kind := range []webhook.Kind{webhook.KindGHCR, webhook.KindDistribution, webhook.KindGAR} {
		b.Run(string(kind), func(b *testing.B) {
			body := payload(b, bodies()[kind])
			source, r := newSource(b, options(kind)), authentic(kind, body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if d, err := send(b.Context(), source, r); err != nil || len(d.Pushes) != 1 {
					b.Fatal(d.Ignored, err)
				}
			}
		})
	}
}
