package main

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// maxCandidates bounds the names that are tried until one is a reference that can
// be set.
const maxCandidates = 200

// candidate is where an image's name probably stands: the text behind a key that
// says so, without quotes and without a tag or digest.
var candidate = regexp.MustCompile(`(?m)^[ \t-]*(?:[A-Za-z]*[iI]mage|repository|name|newName):[ \t]*["']?([A-Za-z0-9][A-Za-z0-9._/-]*(?::[0-9]+/[A-Za-z0-9._/-]+)?)`)

// example is a request that changes something in the repository.
type example struct {
	Image   string `json:"image"`
	Version string `json:"version"`
}

// body is the request's.
func (e example) body() string {
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // two strings
	}
	return string(body)
}

// exampleFor is the request of the documentation, unless the files do not name its
// image: then it is for the first image of them that can be set. ok reports whether
// there is one.
func exampleFor(files sandbox.Files) (e example, ok bool) {
	e = example{Image: exampleImage, Version: exampleVersion}
	paths := slices.Sorted(maps.Keys(files))
	names := []string{exampleImage}
	for _, path := range paths {
		if !manifest.IsManifest(path) {
			continue
		}
		for _, match := range candidate.FindAllSubmatch(files[path].Content, maxCandidates) {
			if name := string(match[1]); len(names) < maxCandidates && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		if settable(files, paths, name) {
			e.Image = name
			return e, true
		}
	}
	return e, false
}

// settable reports whether a file would change.
func settable(files sandbox.Files, paths []string, name string) bool {
	repository, err := image.ParseRepository(name)
	if err != nil {
		return false
	}
	tag, err := image.ParseTag(exampleVersion)
	if err != nil {
		return false
	}
	editor, err := manifest.NewEditor([]manifest.Update{{Image: repository, Version: tag}}, manifest.Options{})
	if err != nil {
		return false
	}
	for _, path := range paths {
		if manifest.IsManifest(path) && len(editor.Edit(files[path].Content).Changes) > 0 {
			return true
		}
	}
	return false
}
