package webhook

import (
	"encoding/json"
	"net/url"
)

// The notifications of CNCF Distribution, which GitLab's own registry sends too:
// https://distribution.github.io/distribution/about/notifications/
// Layers, pulls, mounts and deletions come to the same URL. A registry repeats a
// refused event forever, and sends nothing else meanwhile.

type distributionBody struct {
	Events []json.RawMessage `json:"events"`
}

// registryEvent is one notification. Azure sends the same, without the envelope.
type registryEvent struct {
	ID        string    `json:"id"`
	Timestamp timestamp `json:"timestamp"`
	Action    string    `json:"action"`
	Target    struct {
		MediaType  string `json:"mediaType"`
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		URL        string `json:"url"`
		Tag        string `json:"tag"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
}

func readDistribution(_ Request, content []byte) (reading, error) {
	var body distributionBody
	if err := decode(content, &body); err != nil {
		return reading{}, err
	}
	return reading{events: func(yield func(event) bool) {
		for _, part := range body.Events {
			var e registryEvent
			fill(part, &e)
			if !yield(e.event()) {
				return
			}
		}
	}}, nil
}

func (e *registryEvent) event() event {
	switch {
	case e.Action != "push":
		return noPush(e.Action)
	case e.Target.MediaType != "" && !isManifest(e.Target.MediaType):
		return noImage(e.Target.MediaType)
	}
	host := e.Request.Host
	if host == "" {
		host = hostOf(e.Target.URL)
	}
	return event{
		host:       host,
		repository: e.Target.Repository,
		tag:        e.Target.Tag,
		digest:     e.Target.Digest,
		id:         e.ID,
		time:       e.Timestamp.Time,
	}
}

// hostOf returns host and port of a URL, or "".
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
