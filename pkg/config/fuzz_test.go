package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
)

// FuzzParse checks that a file is either refused with errors that are fit for a
// log, or keeps what the types promise.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/refused/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, "testdata/full.yaml") {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := config.Parse("config.yaml", content, lookups())
		if err != nil {
			checkShown(t, err)
			return
		}
		names := map[string]bool{}
		for _, target := range got.Targets {
			checkTarget(t, target)
			if names[target.Name] {
				t.Errorf("two targets are named %q", target.Name)
			}
			names[target.Name] = true
		}
		for _, w := range got.Webhooks {
			if w.Kind == "" || w.Name == "" || (w.Kind == "gar") == (len(w.Secrets) > 0) || (w.Kind == "generic") != (w.Generic != nil) {
				t.Errorf("an incomplete webhook: %+v", w)
			}
			for _, name := range w.Targets {
				if !names[name] {
					t.Errorf("webhook %q has the unknown target %q", w.Name, name)
				}
			}
		}
	})
}

func checkTarget(t *testing.T, target config.Target) {
	t.Helper()
	if target.Name == "" || target.Repository == "" {
		t.Errorf("an incomplete target: %+v", target)
	}
	for _, globs := range [][]string{target.Include, target.Exclude, target.Images} {
		for _, glob := range globs {
			if !doublestar.ValidatePattern(glob) {
				t.Errorf("%q is no glob", glob)
			}
		}
	}
}

func checkShown(t *testing.T, err error) {
	t.Helper()
	var errs config.Errors
	if !errors.As(err, &errs) || len(errs) == 0 || len(errs) > config.MaxErrors {
		t.Fatalf("%d errors in %v", len(errs), err)
	}
	for _, e := range errs {
		text := e.Error()
		if !utf8.ValidString(text) || len(text) > 2000 {
			t.Errorf("%d bytes: %q", len(text), text)
		}
		for _, r := range text {
			if !strconv.IsPrint(r) {
				t.Errorf("holds %q: %q", r, text)
			}
		}
	}
}
