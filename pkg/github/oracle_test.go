package github_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cost"
)

// wantLinear holds the cost of an input of 4,000 parts against that of 1,000.
func wantLinear(t *testing.T, build func(n int) []byte, run func([]byte)) {
	t.Helper()
	if testing.Short() { // no measure: the race detector's costs are others
		run(build(20))
		return
	}
	small, large := build(1000), build(4000)
	cost.Linear(t, "1,000 parts", func() { run(small) }, func() { run(large) })
}

func FuzzCostOfTrees(f *testing.F) {
	for _, path := range []string{"a.yaml", "a/b/c/d.yaml", "a/", "..", strings.Repeat("d/", 100) + "a", "\x00", "\ufffd"} {
		for _, kind := range []string{"blob", "tree", "commit"} {
			f.Add(path, kind, true)
			f.Add(path, kind, false)
		}
	}
	f.Fuzz(func(t *testing.T, path, kind string, nested bool) {
		if len(path) > 300 {
			t.Skip("the bound of an answer is another test's")
		}
		wantLinear(t, func(n int) []byte {
			entries := make([]map[string]any, n)
			for i := range entries {
				name := fmt.Sprintf("%s%d", path, i)
				if nested {
					name = fmt.Sprintf("%d/%s", i, path)
				}
				entries[i] = map[string]any{"path": name, "type": kind, "sha": someCommit, "size": i}
			}
			answer, err := json.Marshal(map[string]any{"tree": entries})
			if err != nil {
				t.Fatal(err)
			}
			return answer
		}, func(answer []byte) { _ = github.ListTree(answer) })
	})
}

// The raw text of an answer, too, costs what it is long.
func FuzzCostOfAnswers(f *testing.F) {
	for _, s := range []string{`{"tree":[`, `{"path":"a"},`, `,{}`, `[`, `{"a":`, `"`, "\n", `\\u0000`} {
		f.Add(`{"tree":[`, s)
		f.Add(`{"message":"`, s)
	}
	f.Fuzz(func(t *testing.T, begin, fragment string) {
		if len(begin)+len(fragment) > 200 {
			t.Skip("short ones repeat as well")
		}
		build := func(n int) []byte { return []byte(begin + strings.Repeat(fragment, n)) }
		wantLinear(t, build, func(answer []byte) { _ = github.ListTree(answer) })
		wantLinear(t, build, func(answer []byte) {
			github.PeekAnswer(&http.Response{StatusCode: http.StatusUnprocessableEntity, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(answer))})
		})
	})
}

func FuzzCostOfArchives(f *testing.F) {
	f.Add("top/a.yaml", int64(10), byte(tar.TypeReg))
	f.Add("top/"+strings.Repeat("a/", 40), int64(0), byte(tar.TypeDir))
	f.Add("top/link", int64(0), byte(tar.TypeSymlink))
	f.Fuzz(func(t *testing.T, name string, size int64, kind byte) {
		if size < 0 || size > 1000 || len(name) > 1000 {
			t.Skip("short ones repeat as well")
		}
		wantLinear(t, func(n int) []byte {
			var b bytes.Buffer
			zipped := gzip.NewWriter(&b)
			archive := tar.NewWriter(zipped)
			for range n {
				if archive.WriteHeader(&tar.Header{Typeflag: kind, Name: name, Size: size, Linkname: "to"}) != nil {
					t.Skip("no header can say that")
				}
				_, _ = archive.Write(bytes.Repeat([]byte("x"), int(size)))
			}
			_ = archive.Close()
			_ = zipped.Close()
			return b.Bytes()
		}, func(archive []byte) {
			_ = github.ReadArchive(bytes.NewReader(archive), someCommit, 64<<20, func(_ string, _ int64, content io.Reader) error {
				_, err := io.Copy(io.Discard, content)
				return err
			})
		})
	})
}
