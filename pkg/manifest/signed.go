package manifest

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// signedMessage opens a text under an OpenPGP signature.
var signedMessage = []byte("-----BEGIN PGP SIGNED MESSAGE-----")

// signatureKeys are annotations that hold a signature over the object.
var signatureKeys = []string{
	"tekton.dev/signature", "cosign.sigstore.dev/signature", "cosign.sigstore.dev/message",
	"integrityshield.io/signature", "integrityshield.io/message",
}

// signedFile reports whether the bytes or the values of a whole file are under a
// signature or a checksum that the file itself holds: SOPS and OpenPGP.
func signedFile(content []byte, docs []*yaml.Node) bool {
	if bytes.HasPrefix(bytes.TrimSpace(content), signedMessage) {
		return true
	}
	return slices.ContainsFunc(docs, func(doc *yaml.Node) bool {
		sops := valueOrEmpty(rootOf(doc), "sops")
		return valueOf(sops, "mac") != nil && valueOrEmpty(sops, "mac_only_encrypted").Value != "true"
	})
}

// signedDocument reports whether a document is under a signature of its own, or is
// a lock file whose digests belong to it.
func signedDocument(doc *yaml.Node) bool {
	root := rootOf(doc)
	if valueOf(root, "signed") != nil && valueOf(root, "signatures") != nil {
		return true // The Update Framework
	}
	if valueOrEmpty(root, "kind").Value == "ImagesLock" && strings.Contains(valueOrEmpty(root, "apiVersion").Value, "imgpkg") {
		return true
	}
	annotations := valueOrEmpty(valueOrEmpty(root, "metadata"), "annotations")
	return slices.ContainsFunc(signatureKeys, func(key string) bool { return valueOf(annotations, key) != nil })
}

// rootOf returns the root of a parsed document.
func rootOf(doc *yaml.Node) *yaml.Node {
	if len(doc.Content) == 0 {
		return &yaml.Node{}
	}
	return doc.Content[0]
}
