package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
)

func TestSecretHidesItself(t *testing.T) {
	t.Parallel()
	const text = "hunter2"
	s := config.NewSecret(text)
	if s.Reveal() != text {
		t.Errorf("Reveal returns %q", s.Reveal())
	}
	hexadecimal := fmt.Sprintf("%x", text)
	shown := map[string]string{"String": s.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
		shown[verb] = fmt.Sprintf(verb, s)
		shown["inside "+verb] = fmt.Sprintf(verb, config.Webhook{Secrets: []config.Secret{s}})
		shown["pointer "+verb] = fmt.Sprintf(verb, &s)
		shown["unexported "+verb] = fmt.Sprintf(verb, struct{ s config.Secret }{s})
	}
	for name, v := range map[string]any{"JSON": s, "JSON inside": config.Webhook{Secrets: []config.Secret{s}}, "JSON key": map[config.Secret]int{s: 1}} {
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown[name] = string(out)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "webhook", config.Webhook{Secrets: []config.Secret{s}})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "webhook", config.Webhook{Secrets: []config.Secret{s}})
	shown["log"] = log.String()
	for name, got := range shown {
		if strings.Contains(got, text) || strings.Contains(strings.ToLower(got), hexadecimal) {
			t.Errorf("%s shows the secret: %s", name, got)
		}
	}
}

// TestErrorsHoldNoSecret writes a secret wherever a slip may put it.
func TestErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	const text = "hunter2"
	slips := []string{
		"secrets: hunter2",
		"secrets: [hunter2]",
		"secrets: [[hunter2]]",
		"secrets: [{value: *hunter2}]",
		"secrets: [{value: &hunter2 x}]",
		"secrets: [{value: !hunter2 x}]",
		"secrets: [{value: [hunter2]}]",
		"secrets: [{value: {hunter2: x}}]",
		"secrets: [{value: 'hunter2}]",
		"secrets: [{value: \"hunter2\\q\"}]",
		"secrets: [{value: @hunter2}]",
		"secrets: [{value: `hunter2}]",
		"secrets: [{value: %hunter2}]",
		"secrets: [{value: hunter2: x}]",
		"secrets: [{value: hunter2, env: A}]",
		"secrets: [{env: hunter2!}]",
		"secrets: [{env: hunter2}]",
		"secrets: [{file: hunter2}]",
		"secrets: [{env: hunter2 }, {}]",
		"secrets: [{file: \"hunter2\\n\"}]",
	}
	for _, slip := range slips {
		t.Run(slip, func(t *testing.T) {
			t.Parallel()
			content := []byte("webhooks: [{name: hub, kind: dockerhub, " + slip + "}]")
			_, err := config.Parse("config.yaml", content, config.Options{
				Getenv: func(string) string { return "" },
				ReadFile: func(path string) ([]byte, error) {
					return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
				},
			})
			if err == nil {
				t.Fatal("no error")
			}
			checkHidden(t, err, text)
		})
	}
}

// checkHidden looks at an error and at all that it wraps.
func checkHidden(t *testing.T, err error, text string) {
	t.Helper()
	if shown := fmt.Sprintf("%v %+v", err, err); strings.Contains(shown, text) {
		t.Errorf("the error holds the secret: %s", shown)
	}
	switch wrapper := err.(type) { //nolint:errorlint // it walks the whole tree
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			checkHidden(t, inner, text)
		}
	case interface{ Unwrap() error }:
		if inner := wrapper.Unwrap(); inner != nil {
			checkHidden(t, inner, text)
		}
	}
}
