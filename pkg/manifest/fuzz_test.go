package manifest_test

import (
	"bytes"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// FuzzEdit checks the invariants of every file on any bytes and any version.
func FuzzEdit(f *testing.F) {
	for _, c := range goldens(f) {
		f.Add(c.in, "v2.0.0")
		f.Add(bytes.ReplaceAll(c.in, []byte("\n"), []byte("\r\n")), "8.10")
	}
	digest, err := image.ParseDigest(digestB)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte, version string) {
		tag, err := image.ParseTag(version)
		if err != nil {
			return
		}
		app, redis := update(t, "ghcr.io/octo-org/app", "v2.0.0"), update(t, "redis", "8.10")
		app.Version, redis.Digest = tag, digest
		checkInvariants(t, content, []manifest.Update{app, redis}, manifest.Options{})
		app.Digest = digest
		checkInvariants(t, content, []manifest.Update{app, redis}, manifest.Options{Pin: true})
	})
}
