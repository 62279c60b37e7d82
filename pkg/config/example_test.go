package config_test

import (
	"fmt"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
)

// A file that is nearly right is refused as a whole, with a line for each slip.
func ExampleParse() {
	content := []byte(`
targets:
  - repository: octo-org/infra
    paths: {include: [/clusters/**]}
webhooks:
  - name: hub
    kind: dockerhub
    secrets: [{env: HUB_SECRET}]
    tags: {regexp: "^v("}
`)
	_, err := config.Parse("config.yaml", content, config.Options{})
	fmt.Println(err)
	// Output:
	// config.yaml:4: targets[0].paths.include[0]: "/clusters/**" matches nothing: paths begin at the repository's root without a slash
	// config.yaml:9: webhooks[0].tags.regexp: missing closing ): `^v(`
}

// What another package knows better is asked of it, and its error is reported at
// the line of the key that it names.
func ExampleOptions() {
	content := []byte(`
targets:
  - name: production
    repository: octo-org/infra
webhooks:
  - name: hub
    kind: dockerhbu
    secrets: [{env: HUB_SECRET}]
    targets: [production]
`)
	_, err := config.Parse("config.yaml", content, config.Options{
		Getenv: func(string) string { return "a secret" },
		CheckWebhook: func(w config.Webhook) error {
			if w.Kind != "dockerhub" {
				return &config.Error{Key: "kind", Detail: fmt.Sprintf("%q is no kind of webhook", w.Kind)}
			}
			return nil
		},
	})
	fmt.Println(err)
	// Output:
	// config.yaml:7: webhooks[0].kind: "dockerhbu" is no kind of webhook
}
