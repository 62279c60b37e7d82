package service_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

func TestFilesAreSeenToChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("same", "a")
	write("other", "a")
	write("gone", "a")
	if err := os.Mkdir(at("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	pipe, into, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pipe.Close() }()
	if _, err := into.WriteString("read once"); err != nil {
		t.Fatal(err)
	}
	_ = into.Close()
	once := filepath.Join("/dev/fd", strconv.Itoa(int(pipe.Fd())))
	files := service.ReadFiles(at("same"), at("other"), at("gone"), at("absent"), at("new"), at("folder"), filepath.Join(at("same"), "below"), once)
	if changed := files.Changed(); len(changed) > 0 {
		t.Errorf("%v changed, though nothing did", changed)
	}
	write("other", "b")
	write("new", "a")
	if err := os.Remove(at("gone")); err != nil {
		t.Fatal(err)
	}
	want := []string{at("gone"), at("new"), at("other")}
	if diff := cmp.Diff(want, files.Changed()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
