package webhook_test

import (
	"context"
	"fmt"
	"net/url"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

func ExampleSource_Admit() {
	tags, err := webhook.ParseTagRange(">=1.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := webhook.New(webhook.Options{
		Name:    "quay",
		Kind:    webhook.KindQuay,
		Secrets: []string{"new-secret", "old-secret"},
		Tags:    tags,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	admission, err := source.Admit(context.Background(), webhook.Request{Query: url.Values{"token": {"old-secret"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := admission.Receive([]byte(`{"docker_url": "quay.io/octo-org/web", "updated_tags": ["1.4.0", "latest"]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range d.Pushes {
		fmt.Println(p.Image, p.Tag)
	}
	fmt.Println(d.Dropped)
	// Output:
	// quay.io/octo-org/web 1.4.0
	// [the tag latest does not pass the filter]
}

func ExampleNew() {
	_, err := webhook.New(webhook.Options{Name: "edge", Kind: webhook.KindZot, Secrets: []string{"s3cret"}})
	fmt.Println(err)
	// Output:
	// webhook source "edge": registry: payloads of kind zot do not name the registry: give its host[:port] as manifests write it
}
