package webhook

import (
	"encoding/json"
	"strings"
)

// zot's events extension, CloudEvents by default in binary mode:
// https://zotregistry.dev/latest/articles/events/
// They name no registry, and are sent once.

type zotData struct {
	Name      string `json:"name"`
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	// Manifest is the pushed manifest itself, as text.
	Manifest string `json:"manifest"`
}

func readZot(r Request, content []byte) (reading, error) {
	found, err := envelopes(r, content)
	if err != nil {
		return reading{}, err
	}
	return reading{events: func(yield func(event) bool) {
		for e := range found {
			if !yield(e.zot()) {
				return
			}
		}
	}}, nil
}

func (e *envelope) zot() event {
	if !strings.HasSuffix(e.Type, "image.updated") {
		return noPush(e.Type)
	}
	var data zotData
	fill(e.Data, &data)
	if kind := data.configType(); !isImage(kind) {
		return noImage(kind)
	}
	return event{
		repository: data.Name,
		tag:        data.Reference,
		digest:     data.Digest,
		id:         e.ID,
		time:       e.Time.Time,
	}
}

// configType is the type of the manifest's config; empty when it is not told.
func (d *zotData) configType() string {
	var manifest struct {
		Config struct {
			MediaType string `json:"mediaType"`
		} `json:"config"`
	}
	fill(json.RawMessage(d.Manifest), &manifest)
	return manifest.Config.MediaType
}
