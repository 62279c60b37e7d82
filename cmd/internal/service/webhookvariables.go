package service

import (
	"errors"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// webhookVariables enable a webhook source with the name of its kind, and bound what
// it may move.
func webhookVariables() []variable {
	var out []variable
	for _, kind := range webhook.SwitchedOnBySecret() {
		out = append(out,
			variable{
				name: webhookVariable(kind, "SECRET"), secret: true, help: "secret of the webhook source " + string(kind) + ", which it enables",
				set: func(s *Settings, v string) error {
					put(&s.secrets, kind, v)
					return nil
				},
			},
			variable{
				name: webhookVariable(kind, "REGISTRY"), help: "host[:port] of the registry whose pushes that source takes",
				set: func(s *Settings, v string) error {
					host, err := config.ParseRegistry(v)
					put(&s.registries, kind, host)
					return err
				},
			},
			variable{
				name: webhookVariable(kind, "IMAGES"), help: "globs of the images that it may move, separated by commas; every image when empty",
				set: func(s *Settings, v string) error {
					globs, err := imageGlobs(v)
					put(&s.images, kind, globs)
					return err
				},
			},
		)
	}
	return out
}

// imageGlobs reads globs that are separated by commas outside of braces.
func imageGlobs(text string) ([]string, error) {
	var globs []string
	for _, part := range splitGlobs(text) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		glob, err := config.ParseImageGlob(part)
		if err != nil {
			return nil, err
		}
		globs = append(globs, glob)
	}
	if globs == nil {
		return nil, errors.New("it names no image")
	}
	return globs, nil
}

func splitGlobs(text string) []string {
	depth := 0
	return strings.FieldsFunc(text, func(r rune) bool {
		switch r {
		case '{':
			depth++
		case '}':
			depth--
		}
		return r == ',' && depth <= 0
	})
}

func put[V any](into *map[webhook.Kind]V, kind webhook.Kind, value V) {
	if *into == nil {
		*into = map[webhook.Kind]V{}
	}
	(*into)[kind] = value
}

// WebhookSecrets returns the variables that enable a webhook by its secret alone.
func WebhookSecrets() []string {
	var names []string
	for _, kind := range webhook.SwitchedOnBySecret() {
		names = append(names, webhookVariable(kind, "SECRET"))
	}
	return names
}

func webhookVariable(kind webhook.Kind, what string) string {
	return "WEBHOOK_" + strings.ToUpper(string(kind)) + "_" + what
}
