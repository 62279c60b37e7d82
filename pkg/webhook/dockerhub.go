package webhook

import "strings"

// Docker Hub: https://docs.docker.com/docker-hub/repos/manage/webhooks/
// Its payload has no signature, no digest and no id, and one push of an index
// calls several times. Its callback_url is not called.

type dockerHubBody struct {
	PushData struct {
		PushedAt  moment `json:"pushed_at"`
		Tag       string `json:"tag"`
		MediaType string `json:"media_type"`
	} `json:"push_data"`
	Repository struct {
		RepoName string `json:"repo_name"`
	} `json:"repository"`
}

func readDockerHub(r Request) (reading, error) {
	var body dockerHubBody
	if err := decode(r.Body, &body); err != nil {
		return reading{}, err
	}
	if strings.Contains(body.PushData.MediaType, "helm") {
		return ignored("a chart is no image"), nil
	}
	return reading{events: []event{{
		host:       "docker.io",
		repository: body.Repository.RepoName,
		tag:        body.PushData.Tag,
		time:       body.PushData.PushedAt.Time,
	}}}, nil
}
