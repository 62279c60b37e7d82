package github

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// The bounds of one answer, after decompression. GitHub's own answers are far smaller; a
// larger one is endless, a compressed bomb, or not GitHub's.
const (
	// maxAnswer bounds every answer that has no bound below, in bytes. Most have a few
	// KB; a comparison lists up to 300 files with their patches.
	maxAnswer = 16 << 20
	// maxTreeAnswer bounds a listing. GitHub lists at most 100,000 entries, which are
	// about 35 MB.
	maxTreeAnswer = 96 << 20
	// maxBlobAnswer bounds a blob, which base64 makes a third larger.
	maxBlobAnswer = 2*maxBlob + 1<<20
)

// boundOf is the bound of an endpoint's answers.
func boundOf(endpoint string) int64 {
	switch {
	case strings.HasSuffix(endpoint, "/git/trees/{tree_sha}"):
		return maxTreeAnswer
	case strings.HasSuffix(endpoint, "/git/blobs/{file_sha}"):
		return maxBlobAnswer
	}
	return maxAnswer
}

// errTooLarge is the error of an answer that is larger than its bound. It is permanent.
var errTooLarge = errors.New("it is larger than any of GitHub's")

// bounded returns a reader of the first n bytes of r, which fails with errTooLarge if
// there are more.
func bounded(r io.Reader, n int64) io.Reader { return &boundedReader{r: r, left: n} }

type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.left <= 0 {
		n, err := b.r.Read(p[:1])
		if n > 0 {
			err = errTooLarge
		}
		return 0, err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// bounds is the layer that bounds the answers of the API.
type bounds struct {
	next http.RoundTripper
	base string // path of the API's root, ends in a slash
}

// RoundTrip implements http.RoundTripper.
func (b *bounds) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	bound := boundOf(endpointOf(strings.TrimPrefix(req.URL.Path, b.base)))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{bounded(resp.Body, bound), resp.Body}
	return resp, nil
}

// The bounds of what a tree lists.
const (
	// maxListed bounds the files, folders and submodules of one commit: about 200
	// bytes of memory each.
	maxListed = 500_000
	// maxListedText bounds the bytes of their paths together.
	maxListedText = 64 << 20
	// maxPath bounds a path in bytes, as Linux does, and maxDepth its folders.
	maxPath  = 4096
	maxDepth = 256
	// maxSize bounds the size of a file in a listing, in bytes. GitHub takes no file
	// above 100 MB.
	maxSize = 1 << 40
	// maxWalk bounds the requests for the listing of one commit: GitHub truncates an
	// answer at 100,000 entries, and then each folder may take a request.
	maxWalk = 1000
	// maxEntryText bounds the JSON of one entry, and of each other field of a listing's
	// answer, in bytes.
	maxEntryText = 128 << 10
)

// errTooMuch is the error of a commit that has more than the bounds above.
var errTooMuch = fmt.Errorf("the commit has more than %d files and folders, or %d MB of paths", maxListed, maxListedText>>20)

// checkPath returns an error for a path below dir that git could not hold, or that
// is beyond the bounds above.
func checkPath(dir, path string) error {
	depth := strings.Count(dir, "/") + strings.Count(path, "/") + 2
	if len(dir)+1+len(path) > maxPath || depth > maxDepth {
		return fmt.Errorf("the tree lists a path of %d bytes in %d folders", len(dir)+len(path), depth)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return fmt.Errorf("the tree lists %.80q, which is no path", path)
		}
	}
	return nil
}
