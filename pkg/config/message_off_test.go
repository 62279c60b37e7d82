package config_test

import (
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
)

func TestMessageOff(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"off": true, `"off"`: true, "Turn it off": false} {
		f, err := config.Parse("config.yaml", []byte("targets: [{repository: octo-org/infra, message: "+text+"}]\n"), config.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Targets[0]; got.RefuseMessages != want || got.Message.IsZero() != want {
			t.Errorf("%s: refused %v, template %q", text, got.RefuseMessages, got.Message)
		}
	}
}
