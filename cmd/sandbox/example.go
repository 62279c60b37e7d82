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

// maxCandidates bounds the names that are tried as the example's image.
const maxCandidates = 200

// candidate matches a key that probably holds an image's name, and captures the name
// without quotes, tag and digest.
var candidate = regexp.MustCompile(`(?m)^[ \t-]*(?:[A-Za-z]*[iI]mage|repository|name|newName):[ \t]*["']?([A-Za-z0-9][A-Za-z0-9._/-]*(?::[0-9]+/[A-Za-z0-9._/-]+)?)`)

// example is a request that changes a file of the repository.
type example struct {
	Image   string `json:"image"`
	Version string `json:"version"`
}

// body returns the request's JSON.
func (e example) body() string {
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // two strings
	}
	return string(body)
}

// exampleFor returns the request of the documentation, or, if the files do not name
// its image, one for the first image of theirs that can be set. ok reports whether
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

// settable reports whether an update of the image would change a file.
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
