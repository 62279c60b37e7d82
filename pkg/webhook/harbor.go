package webhook

import "encoding/json"

// Harbor's webhooks in its own format and as CloudEvents:
// https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
// A push by digest alone, such as a part of an index, has the digest as its tag.

type harborBody struct {
	Type      string     `json:"type"`
	OccurAt   timestamp  `json:"occur_at"`
	EventData harborData `json:"event_data"`
}

type harborData struct {
	Resources  []json.RawMessage `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

func readHarbor(r Request, content []byte) (reading, error) {
	found, err := envelopes(r, content)
	if err != nil {
		return reading{}, err
	}
	return reading{events: func(yield func(event) bool) {
		for e := range found {
			body := harborBody{Type: e.Type, OccurAt: e.Time}
			if e.SpecVersion == "" && e.whole != nil {
				fill(e.whole, &body)
			} else {
				fill(e.Data, &body.EventData)
			}
			if !body.events(e.ID, yield) {
				return
			}
		}
	}}, nil
}

type harborResource struct {
	Digest      string `json:"digest"`
	Tag         string `json:"tag"`
	ResourceURL string `json:"resource_url"`
}

// events yields the body's events, and reports whether yield wants more.
func (b *harborBody) events(id string, yield func(event) bool) bool {
	switch b.Type {
	case "PUSH_ARTIFACT", "harbor.artifact.pushed", "pushImage":
	default:
		return yield(noPush(b.Type))
	}
	if len(b.EventData.Resources) == 0 {
		return yield(skipped("the payload has no resources"))
	}
	for _, part := range b.EventData.Resources {
		var resource harborResource
		fill(part, &resource)
		name, tag, _ := cutReference(cutScheme(resource.ResourceURL))
		host, repository := cutHost(name)
		if host == "" {
			repository = b.EventData.Repository.FullName
		}
		e := event{host: host, repository: repository, tag: resource.Tag, digest: resource.Digest, id: id, time: b.OccurAt.Time}
		if e.tag == "" {
			e.tag = tag
		}
		if !yield(e) {
			return false
		}
	}
	return true
}
