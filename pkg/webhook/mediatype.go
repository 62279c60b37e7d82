package webhook

import "strings"

// isManifest reports whether a media type is that of a manifest, a list of
// manifests or an index, of Docker or OCI in any version.
func isManifest(mediaType string) bool {
	return hasAnyPrefix(mediaType,
		"application/vnd.docker.distribution.manifest.",
		"application/vnd.oci.image.manifest.",
		"application/vnd.oci.image.index.",
	)
}

// isImage reports whether a manifest is one of a container image, by the media
// type of its config or its artifact type. Senders leave it out for an index,
// and some always. Registries hold Helm charts, signatures and models the same way.
func isImage(configType string) bool {
	return configType == "" || isManifest(configType) || hasAnyPrefix(configType,
		"application/vnd.docker.container.image.",
		"application/vnd.oci.image.config.",
		"application/vnd.wasm.config.", // a container runtime runs it by its reference
	)
}

// noImage skips the push of something else than an image, by its type.
func noImage(what string) event { return skipped(quote(what) + " is not the type of an image") }

func hasAnyPrefix(text string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
