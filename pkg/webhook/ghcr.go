package webhook

import (
	"strings"
	"time"
)

// GitHub's events package and registry_package: the first comes from webhooks of
// repositories and organisations, the second from GitHub Apps.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#registry_package
// One event names one tag, and each manifest of an index comes as an untagged
// event of its own.

type ghcrBody struct {
	Action          string       `json:"action"`
	Package         *ghcrPackage `json:"package"`
	RegistryPackage *ghcrPackage `json:"registry_package"`
}

type ghcrPackage struct {
	Name        string    `json:"name"`
	PackageType string    `json:"package_type"`
	Ecosystem   string    `json:"ecosystem"`
	UpdatedAt   timestamp `json:"updated_at"`
	Owner       struct {
		Login string `json:"login"`
	} `json:"owner"`
	Version struct {
		PackageURL string    `json:"package_url"`
		UpdatedAt  timestamp `json:"updated_at"`
		Metadata   struct {
			Tag struct {
				Name   string `json:"name"`
				Digest string `json:"digest"`
			} `json:"tag"`
			Manifest struct {
				Digest string `json:"digest"`
				Config struct {
					MediaType string `json:"media_type"`
				} `json:"config"`
			} `json:"manifest"`
		} `json:"container_metadata"`
	} `json:"package_version"`
}

// ghcrHost is where packages of github.com are pulled from.
const ghcrHost = "ghcr.io"

func readGHCR(r Request, content []byte) (reading, error) {
	var body ghcrBody
	if err := decode(content, &body); err != nil {
		return reading{}, err
	}
	if name := r.Header.Get("X-GitHub-Event"); name != "" && name != "package" && name != "registry_package" {
		return ignored("the event " + quote(name) + " is not a push"), nil
	}
	pkg := body.RegistryPackage
	if pkg == nil {
		pkg = body.Package
	}
	switch {
	case pkg == nil:
		return ignored("the payload has no package"), nil
	case body.Action != "published" && body.Action != "updated":
		return single(noPush(body.Action)), nil
	case !isContainer(pkg.PackageType) && !isContainer(pkg.Ecosystem):
		return ignored("the package is of type " + quote(pkg.PackageType) + " and not a container"), nil
	}
	if kind := pkg.Version.Metadata.Manifest.Config.MediaType; !isImage(kind) {
		return single(noImage(kind)), nil
	}
	e := pkg.event()
	e.id = r.Header.Get("X-GitHub-Delivery")
	return single(e), nil
}

func (p *ghcrPackage) event() event {
	// An untagged version's URL ends in the colon alone.
	name, tag, _ := cutReference(cutScheme(p.Version.PackageURL))
	host, repository := cutHost(name)
	inferred := host == "" || repository == ""
	if inferred {
		host, repository = ghcrHost, p.Owner.Login+"/"+p.Name
	}
	e := event{
		host:       host,
		inferred:   inferred,
		repository: repository,
		tag:        p.Version.Metadata.Tag.Name,
		digest:     p.Version.Metadata.Tag.Digest,
		time:       p.time(),
	}
	if e.tag == "" {
		e.tag = tag
	}
	if e.digest == "" {
		e.digest = p.Version.Metadata.Manifest.Digest
	}
	return e
}

// time is when the package last changed: a version that gets another tag keeps
// its own time.
func (p *ghcrPackage) time() time.Time {
	return later(p.UpdatedAt.Time, p.Version.UpdatedAt.Time)
}

func isContainer(packageType string) bool {
	return strings.EqualFold(packageType, "container") || strings.EqualFold(packageType, "docker")
}
