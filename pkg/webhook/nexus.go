package webhook

// Sonatype Nexus Repository 3's webhooks of repositories, for components:
// https://help.sonatype.com/en/webhooks.html
// They name neither the host that images are pulled from nor a digest. Where
// several Docker repositories have hosts or ports of their own, a rewrite from
// "registry/repository" gives each of them its host.

type nexusBody struct {
	Timestamp  timestamp `json:"timestamp"`
	Repository string    `json:"repositoryName"`
	Action     string    `json:"action"`
	Component  *struct {
		Format  string `json:"format"`
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"component"`
}

func readNexus(r Request, content []byte) (reading, error) {
	var body nexusBody
	if err := decode(content, &body); err != nil {
		return reading{}, err
	}
	switch {
	case body.Component == nil:
		return ignored("the event is of no component"), nil
	case body.Action != "CREATED" && body.Action != "UPDATED":
		return single(noPush(body.Action)), nil
	case body.Component.Format != "docker":
		return ignored("a component of format " + quote(body.Component.Format) + " is not an image"), nil
	}
	return single(event{
		repository: body.Component.Name,
		within:     body.Repository,
		tag:        body.Component.Version,
		id:         r.Header.Get("X-Nexus-Webhook-Delivery"),
		time:       body.Timestamp.Time,
	}), nil
}
