package webhook

// Harbor's webhooks in its own format and as CloudEvents:
// https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
// What was pushed by digest alone, such as a part of an index, has the digest
// for its tag.

type harborBody struct {
	Type      string     `json:"type"`
	OccurAt   moment     `json:"occur_at"`
	EventData harborData `json:"event_data"`
}

type harborData struct {
	Resources []struct {
		Digest      string `json:"digest"`
		Tag         string `json:"tag"`
		ResourceURL string `json:"resource_url"`
	} `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

func readHarbor(r Request) (reading, error) {
	found, err := envelopes(r)
	if err != nil {
		return reading{}, err
	}
	var read reading
	for _, e := range found {
		body := harborBody{Type: e.Type, OccurAt: e.Time}
		if e.SpecVersion == "" && e.whole != nil {
			fill(e.whole, &body)
		} else {
			fill(e.Data, &body.EventData)
		}
		read.events = append(read.events, body.events(e.ID)...)
	}
	return read, nil
}

func (b *harborBody) events(id string) []event {
	switch b.Type {
	case "PUSH_ARTIFACT", "harbor.artifact.pushed", "pushImage":
	default:
		return []event{noPush(b.Type)}
	}
	if len(b.EventData.Resources) == 0 {
		return []event{skipped("the payload has no resources")}
	}
	events := make([]event, len(b.EventData.Resources))
	for i, resource := range b.EventData.Resources {
		name, tag, _ := cutReference(resource.ResourceURL)
		host, repository := cutHost(name)
		if host == "" {
			repository = b.EventData.Repository.FullName
		}
		events[i] = event{host: host, repository: repository, tag: resource.Tag, digest: resource.Digest, id: id, time: b.OccurAt.Time}
		if resource.Tag == "" {
			events[i].tag = tag
		}
	}
	return events
}
