package webhook

// Docker Hub: https://docs.docker.com/docker-hub/repos/manage/webhooks/
// Its payload has no signature, no digest and no id, and one push of an index
// calls the webhook several times. Its callback_url is never called.

type dockerHubBody struct {
	PushData struct {
		PushedAt  timestamp `json:"pushed_at"`
		Tag       string    `json:"tag"`
		MediaType string    `json:"media_type"`
	} `json:"push_data"`
	Repository struct {
		RepoName string `json:"repo_name"`
	} `json:"repository"`
}

func readDockerHub(_ Request, content []byte) (reading, error) {
	var body dockerHubBody
	if err := decode(content, &body); err != nil {
		return reading{}, err
	}
	if !isImage(body.PushData.MediaType) {
		return single(noImage(body.PushData.MediaType)), nil
	}
	return single(event{
		host:       "docker.io",
		inferred:   true,
		repository: body.Repository.RepoName,
		tag:        body.PushData.Tag,
		time:       body.PushData.PushedAt.Time,
	}), nil
}
