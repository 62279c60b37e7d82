package webhook

import "strings"

// JFrog Artifactory's predefined webhooks of the domain docker:
// https://docs.jfrog.com/administration/docs/event-types
// jpd_origin is empty until the instance has a custom base URL, and images are
// often pulled through a virtual repository, or a host, of another name: both
// are what Registry and Rewrite are for.

// jfrogAuth is the header that holds the secret, or the body's signature when
// signing is switched on.
const jfrogAuth = "X-JFrog-Event-Auth"

type artifactoryBody struct {
	Domain    string `json:"domain"`
	EventType string `json:"event_type"`
	Data      struct {
		RepoKey   string `json:"repo_key"`
		Path      string `json:"path"`
		ImageName string `json:"image_name"`
		// ImageType is docker or oci, or helmoci for a chart; older versions leave it out.
		ImageType string `json:"image_type"`
		Tag       string `json:"tag"`
		SHA256    string `json:"sha256"`
		// Target is where a promotion copied the tag to: a repository, and maybe a
		// path in it.
		Target string `json:"target_repo_path"`
	} `json:"data"`
	Origin string `json:"jpd_origin"`
}

func readArtifactory(_ Request, content []byte) (reading, error) {
	var body artifactoryBody
	if err := decode(content, &body); err != nil {
		return reading{}, err
	}
	return single(body.event()), nil
}

func (b *artifactoryBody) event() event {
	repository := b.Data.RepoKey
	switch {
	case b.Domain != "docker":
		return skipped("the domain " + quote(b.Domain) + " is not docker")
	case b.Data.ImageType != "" && b.Data.ImageType != "docker" && b.Data.ImageType != "oci":
		return noImage(b.Data.ImageType)
	case b.EventType == "promoted" && b.Data.Target != "":
		repository, _, _ = strings.Cut(b.Data.Target, "/")
	case b.EventType == "promoted":
		return skipped("the promotion does not say where to")
	case b.EventType != "pushed":
		return noPush(b.EventType)
	}
	if strings.HasPrefix(b.Data.Tag, "sha256__") {
		return skipped(noTag)
	}
	e := event{host: hostOf(b.Origin), tag: b.Data.Tag}
	if name := b.image(); name != "" && repository != "" {
		e.repository = repository + "/" + name
	}
	if b.Data.SHA256 != "" {
		e.digest = "sha256:" + b.Data.SHA256
	}
	return e
}

// image is the path without the folder of the tag and the manifest's file in it.
func (b *artifactoryBody) image() string {
	parts := strings.Split(b.Data.Path, "/")
	if len(parts) < 3 {
		return b.Data.ImageName
	}
	return strings.Join(parts[:len(parts)-2], "/")
}
