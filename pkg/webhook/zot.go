package webhook

import "strings"

// zot's events extension, CloudEvents by default in binary mode:
// https://zotregistry.dev/latest/articles/events/
// They name no registry, and are sent once.

type zotData struct {
	Name      string `json:"name"`
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
}

func readZot(r Request) (reading, error) {
	found, err := envelopes(r)
	if err != nil {
		return reading{}, err
	}
	var read reading
	for _, e := range found {
		var data zotData
		fill(e.Data, &data)
		if !strings.HasSuffix(e.Type, "image.updated") {
			read.events = append(read.events, noPush(e.Type))
			continue
		}
		read.events = append(read.events, event{
			repository: data.Name,
			tag:        data.Reference,
			digest:     data.Digest,
			id:         e.ID,
			time:       e.Time.Time,
		})
	}
	return read, nil
}
