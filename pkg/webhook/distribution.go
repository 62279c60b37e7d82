package webhook

import (
	"net/url"
	"strings"
)

// The notifications of CNCF Distribution, which GitLab's own registry sends too:
// https://distribution.github.io/distribution/about/notifications/
// Layers, pulls, mounts and deletions come to the same URL. A refusal makes it
// send the event again without end, and nothing after it.

type distributionBody struct {
	Events []registryEvent `json:"events"`
}

// registryEvent is one notification. Azure sends the same, without the envelope.
type registryEvent struct {
	ID        string `json:"id"`
	Timestamp moment `json:"timestamp"`
	Action    string `json:"action"`
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

func readDistribution(r Request) (reading, error) {
	var body distributionBody
	if err := decode(r.Body, &body); err != nil {
		return reading{}, err
	}
	read := reading{events: make([]event, len(body.Events))}
	for i := range body.Events {
		read.events[i] = body.Events[i].event()
	}
	return read, nil
}

func (e *registryEvent) event() event {
	switch {
	case e.Action != "push":
		return noPush(e.Action)
	case e.Target.MediaType != "" && !isManifest(e.Target.MediaType):
		return skipped("the media type " + quote(e.Target.MediaType) + " is no image's")
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

// isManifest reports whether a media type is that of a manifest, a list of them
// or an index, of Docker or OCI in any version.
func isManifest(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.docker.distribution.manifest.") ||
		strings.HasPrefix(mediaType, "application/vnd.oci.image.manifest.") ||
		strings.HasPrefix(mediaType, "application/vnd.oci.image.index.")
}

// hostOf returns host and port of a URL, or "".
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
