package github_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

const someCommit = github.SHA("0123456789012345678901234567890123456789")

func gzipped(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	archive := tar.NewWriter(zipped)
	for _, h := range headers {
		if err := archive.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, strings.Repeat("x", int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []io.Closer{archive, zipped} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func FuzzReadArchive(f *testing.F) {
	global := func(commit string) *tar.Header {
		return &tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": commit}}
	}
	file := &tar.Header{Typeflag: tar.TypeReg, Name: "octo-org-infra-0123456/apps/a.yaml", Mode: 0o644, Size: 5}
	link := &tar.Header{Typeflag: tar.TypeSymlink, Name: "octo-org-infra-0123456/link", Linkname: "apps/a.yaml"}
	f.Add(gzipped(f, global(string(someCommit)), file, link))
	f.Add(gzipped(f, global("another"), file))
	f.Add(gzipped(f, file)[:60])
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := github.ReadArchive(bytes.NewReader(data), someCommit, 64<<20, func(path string, size int64, content io.Reader) error {
			got, err := io.Copy(io.Discard, io.LimitReader(content, 1<<20))
			if err == nil && got < min(size, 1<<20) {
				t.Errorf("%q has %d bytes, %d were told", path, got, size)
			}
			return err
		})
		if err == nil && len(data) == 0 {
			t.Error("nothing is no archive")
		}
	})
}

func TestReadArchiveOfAnotherCommit(t *testing.T) {
	t.Parallel()
	data := gzipped(t,
		&tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "another"}},
		&tar.Header{Typeflag: tar.TypeReg, Name: "top/a.yaml", Size: 5},
	)
	err := github.ReadArchive(bytes.NewReader(data), someCommit, 64<<20, func(path string, _ int64, _ io.Reader) error {
		t.Errorf("%s was visited", path)
		return nil
	})
	if err == nil {
		t.Error("an archive of another commit was taken")
	}
}

// An archive that unpacks to more than it may is given up at the bound.
func TestReadArchiveThatIsABomb(t *testing.T) {
	t.Parallel()
	const bound = 64 << 10
	data := gzipped(t, &tar.Header{Typeflag: tar.TypeReg, Name: "top/a.yaml", Size: 4 << 20})
	var got int64
	err := github.ReadArchive(bytes.NewReader(data), someCommit, bound, func(_ string, _ int64, content io.Reader) error {
		var err error
		got, err = io.Copy(io.Discard, content)
		return err
	})
	if err == nil || got > bound {
		t.Errorf("%d bytes were unpacked, error %v", got, err)
	}
}

func FuzzDecodeTree(f *testing.F) {
	f.Add([]byte(`{"sha":"x","tree":[{"path":"a","mode":"100644","type":"blob","sha":"0123456789012345678901234567890123456789","size":5}],"truncated":true}`))
	f.Add([]byte(`{"tree":[{"path":"a`))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"tree":null,"truncated":false}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, truncated, err := github.DecodeTree(bytes.NewReader(data), "")
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.Path == "" || len(e.SHA) != 40 {
				t.Errorf("an entry without a name was taken: %+v", e)
			}
		}
		if len(entries) == 0 && truncated && !bytes.Contains(data, []byte("truncated")) {
			t.Error("nothing was said of being truncated")
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{
		`{"message":"Validation Failed","errors":"one"}`, `{"message":"m","errors":["a",{"field":"f","code":"missing"},5,null]}`,
		`{"message":5}`, `<html>`, ``, `null`, "{\"message\":\"a\\u0000\\nb\"}",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		resp := &http.Response{StatusCode: http.StatusUnprocessableEntity, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
		github.PeekAnswer(resp)
		again, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(again, body[:min(len(body), 64<<10)]) {
			t.Errorf("the body was not put back: %q (%v)", again, err)
		}
	})
}

func TestBlobSHAIsGits(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]github.SHA{ // git hash-object
		"":              "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
		"hello world\n": "3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
	} {
		if got := github.BlobSHA([]byte(content)); got != want {
			t.Errorf("%q is named %s, want %s", content, got, want)
		}
	}
}
