package webhook

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// Google Artifact Registry's topic "gcr" by a Pub/Sub push subscription, whose
// messages come in an envelope or, without a wrapper, as they are:
// https://cloud.google.com/artifact-registry/docs/configure-notifications
// https://cloud.google.com/pubsub/docs/push
// Pub/Sub repeats a refused message for a week, so authentic messages are never
// refused, not even those that are not JSON.

type garBody struct {
	Message *struct {
		Data      string    `json:"data"`
		ID        string    `json:"messageId"`
		OtherID   string    `json:"message_id"`
		Published timestamp `json:"publishTime"`
	} `json:"message"`
}

type garData struct {
	Action string `json:"action"`
	Digest string `json:"digest"`
	Tag    string `json:"tag"`
}

func readGAR(r Request, content []byte) (reading, error) {
	if !json.Valid(content) {
		return ignored("the message is not JSON"), nil
	}
	var body garBody
	fill(content, &body)
	message := body.Message
	if message == nil {
		published := parseTime(r.Header.Get("X-Goog-Pubsub-Publish-Time"))
		return readGARData(content, r.Header.Get("X-Goog-Pubsub-Message-Id"), published), nil
	}
	data, ok := unbase64(message.Data)
	if !ok {
		return ignored("the message's data is not base64"), nil
	}
	id := message.ID
	if id == "" {
		id = message.OtherID
	}
	return readGARData(data, id, message.Published.Time), nil
}

func readGARData(data []byte, id string, published time.Time) reading {
	if !json.Valid(data) {
		return ignored("the message's data is not JSON")
	}
	var body garData
	fill(data, &body)
	if body.Action != "INSERT" {
		return single(noPush(body.Action))
	}
	name, tag, _ := cutReference(cutScheme(body.Tag))
	_, _, digest := cutReference(body.Digest)
	host, repository := cutHost(name)
	return single(event{host: host, repository: repository, tag: tag, digest: digest, id: id, time: published})
}

func unbase64(text string) ([]byte, bool) {
	data, err := base64.StdEncoding.DecodeString(text)
	return data, err == nil
}
