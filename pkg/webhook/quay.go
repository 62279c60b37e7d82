package webhook

// Quay's notification "Push to Repository":
// https://docs.quay.io/guides/notifications.html
// Other notifications may go to the same URL; only this one lists tags. It has
// no signature, no digest, no time and no id.

type quayBody struct {
	DockerURL   string   `json:"docker_url"`
	UpdatedTags []string `json:"updated_tags"`
}

func readQuay(_ Request, content []byte) (reading, error) {
	var body quayBody
	if err := decode(content, &body); err != nil {
		return reading{}, err
	}
	if len(body.UpdatedTags) == 0 {
		return ignored("the notification lists no updated_tags"), nil
	}
	host, repository := cutHost(cutScheme(body.DockerURL))
	return reading{events: func(yield func(event) bool) {
		for _, tag := range body.UpdatedTags {
			if !yield(event{host: host, repository: repository, tag: tag}) {
				return
			}
		}
	}}, nil
}
