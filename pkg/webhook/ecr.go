package webhook

import "strings"

// Amazon ECR's "ECR Image Action" as EventBridge posts it to an API destination:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html

type ecrBody struct {
	ID         string    `json:"id"`
	DetailType string    `json:"detail-type"`
	Account    string    `json:"account"`
	Region     string    `json:"region"`
	Time       timestamp `json:"time"`
	Detail     struct {
		Result     string `json:"result"`
		Action     string `json:"action-type"`
		Repository string `json:"repository-name"`
		Digest     string `json:"image-digest"`
		Tag        string `json:"image-tag"`
		// ArtifactType is the media type of the manifest's config.
		ArtifactType string `json:"artifact-media-type"`
		ManifestType string `json:"manifest-media-type"`
	} `json:"detail"`
}

func readECR(_ Request, content []byte) (reading, error) {
	var body ecrBody
	if err := decode(content, &body); err != nil {
		return reading{}, err
	}
	return single(body.event()), nil
}

func (b *ecrBody) event() event {
	switch {
	case b.DetailType != "ECR Image Action":
		return noPush(b.DetailType)
	case b.Detail.Action != "PUSH":
		return noPush(b.Detail.Action)
	case b.Detail.Result != "SUCCESS":
		return skipped("the push ended with " + quote(b.Detail.Result))
	case !isImage(b.Detail.ArtifactType):
		return noImage(b.Detail.ArtifactType)
	case b.Detail.ManifestType != "" && !isManifest(b.Detail.ManifestType):
		return noImage(b.Detail.ManifestType)
	}
	return event{
		host:       b.host(),
		inferred:   true,
		repository: b.Detail.Repository,
		tag:        b.Detail.Tag,
		digest:     b.Detail.Digest,
		id:         b.ID,
		time:       b.Time.Time,
	}
}

// host is the private registry of an account in a region of AWS or AWS China.
// Sources in other partitions set Registry.
func (b *ecrBody) host() string {
	if b.Account == "" || b.Region == "" {
		return ""
	}
	host := b.Account + ".dkr.ecr." + b.Region + ".amazonaws.com"
	if strings.HasPrefix(b.Region, "cn-") {
		host += ".cn"
	}
	return host
}
