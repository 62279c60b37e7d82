package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

func FuzzGHCR(f *testing.F)         { fuzz(f, webhook.KindGHCR, "X-GitHub-Event") }
func FuzzDockerHub(f *testing.F)    { fuzz(f, webhook.KindDockerHub, "User-Agent") }
func FuzzQuay(f *testing.F)         { fuzz(f, webhook.KindQuay, "User-Agent") }
func FuzzHarbor(f *testing.F)       { fuzz(f, webhook.KindHarbor, "Ce-Type") }
func FuzzDistribution(f *testing.F) { fuzz(f, webhook.KindDistribution, "Content-Type") }
func FuzzZot(f *testing.F)          { fuzz(f, webhook.KindZot, "Ce-Type") }
func FuzzACR(f *testing.F)          { fuzz(f, webhook.KindACR, "Aeg-Event-Type") }
func FuzzECR(f *testing.F)          { fuzz(f, webhook.KindECR, "User-Agent") }
func FuzzGAR(f *testing.F)          { fuzz(f, webhook.KindGAR, "X-Goog-Pubsub-Message-Id") }
func FuzzArtifactory(f *testing.F)  { fuzz(f, webhook.KindArtifactory, "User-Agent") }
func FuzzNexus(f *testing.F)        { fuzz(f, webhook.KindNexus, "X-Nexus-Webhook-Id") }
func FuzzGitHub(f *testing.F)       { fuzz(f, webhook.KindGitHub, "X-GitHub-Event") }
func FuzzGeneric(f *testing.F)      { fuzz(f, webhook.KindGeneric, "User-Agent") }

// fuzz feeds one kind with bodies and one header's values: nothing may panic,
// what is pushed is in the grammar, and a body without proof is not read. Its
// seeds are the kind's payloads.
func fuzz(f *testing.F, kind webhook.Kind, header string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", string(kind), "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("kind %s has no payloads: %v", kind, err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var short bytes.Buffer
		if err := json.Compact(&short, body); err != nil {
			f.Fatal(err)
		}
		f.Add(short.Bytes(), "")
		f.Add(short.Bytes(), "zotregistry.image.updated")
	}
	f.Add([]byte(`[{"type":{},"data":"x"},null]`), "harbor.artifact.pushed")
	f.Add([]byte("{"), "\x00")
	source := newSource(f, options(kind))
	f.Fuzz(func(t *testing.T, body []byte, value string) {
		if _, err := send(t.Context(), source, request{Body: body}); !errors.Is(err, webhook.ErrUnauthenticated) {
			t.Fatalf("without proof: %v", err)
		}
		r := authentic(kind, body)
		r.Header.Set(header, value)
		got, err := send(t.Context(), source, r)
		if err != nil {
			if !errors.Is(err, webhook.ErrMalformed) {
				t.Fatalf("an authentic body: %v", err)
			}
			return
		}
		checkWhole(t, got)
		for _, p := range got.Pushes {
			checkGrammar(t, p)
		}
	})
}

// checkGrammar checks that every part of a push reads back as itself.
func checkGrammar(t *testing.T, p webhook.Push) {
	t.Helper()
	if p.Unusable != "" {
		return // checkWhole looked at it
	}
	if tag, err := image.ParseTag(p.Tag.String()); err != nil || tag != p.Tag {
		t.Errorf("the tag %q: %v", p.Tag, err)
	}
	if !p.Digest.IsZero() {
		if digest, err := image.ParseDigest(p.Digest.String()); err != nil || digest != p.Digest {
			t.Errorf("the digest %q: %v", p.Digest, err)
		}
	}
	if _, err := image.ParseRepository(p.Image.String()); err != nil {
		t.Errorf("the image %q: %v", p.Image, err)
	}
	if len(p.ID) > 200 {
		t.Errorf("the id has %d bytes", len(p.ID))
	}
}
