package cli

import (
	"fmt"
	"strings"
)

// maxImages is how many images one request may have.
const maxImages = 50

// imageVersion is an image and the version that it is set to.
type imageVersion struct {
	Image   string `json:"image"`
	Version string `json:"version"`
	Digest  string `json:"digest,omitempty"`
}

// parseImages reads IMAGE VERSION, IMAGE:VERSION, IMAGE:VERSION@DIGEST, or several of
// the latter two. The service checks the parts.
func parseImages(args []string) ([]imageVersion, error) {
	if len(args) > maxImages {
		return nil, fmt.Errorf("%d images: one commit takes at most %d", len(args), maxImages)
	}
	if len(args) == 2 {
		first := parseImage(args[0])
		if version, digest, _ := strings.Cut(args[1], "@"); first.Version == "" && first.Digest == "" && !strings.ContainsAny(version, ":/") {
			return []imageVersion{{first.Image, version, digest}}, nil
		}
	}
	var all []imageVersion
	for _, arg := range args {
		i := parseImage(arg)
		if i.Image == "" || i.Version == "" {
			return nil, fmt.Errorf("%q is no IMAGE:VERSION", arg)
		}
		all = append(all, i)
	}
	return all, nil
}

// parseImage parts a reference; the port of a registry is no version.
func parseImage(text string) imageVersion {
	var i imageVersion
	i.Image, i.Digest, _ = strings.Cut(text, "@")
	if colon := strings.LastIndexByte(i.Image, ':'); colon > strings.LastIndexByte(i.Image, '/') {
		i.Image, i.Version = i.Image[:colon], i.Image[colon+1:]
	}
	return i
}
