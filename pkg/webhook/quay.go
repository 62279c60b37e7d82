package webhook

// Quay's notification "Push to Repository":
// https://docs.quay.io/guides/notifications.html
// Other notifications may go to the same URL; only this one lists tags. It has
// no signature, no digest, no time and no id.

type quayBody struct {
	DockerURL   string   `json:"docker_url"`
	UpdatedTags []string `json:"updated_tags"`
}

func readQuay(r Request) (reading, error) {
	var body quayBody
	if err := decode(r.Body, &body); err != nil {
		return reading{}, err
	}
	if len(body.UpdatedTags) == 0 {
		return ignored("the notification lists no updated_tags"), nil
	}
	host, repository := cutHost(body.DockerURL)
	events := make([]event, len(body.UpdatedTags))
	for i, tag := range body.UpdatedTags {
		events[i] = event{host: host, repository: repository, tag: tag}
	}
	return reading{events: events}, nil
}
