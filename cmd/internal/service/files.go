package service

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
)

// maxFileBytes bounds a file of settings, such as the root certificates of an issuer.
const maxFileBytes = 4 << 20

// files are the files that settings were read from, by path, each with the digest of
// its content, or of the error. They are not safe for concurrent use.
type files map[string][sha256.Size]byte

// read returns the content of a file, and keeps its digest.
func (f files) read(path string) ([]byte, error) {
	content, err := readFile(path)
	f[path] = digest(content, err)
	return content, err
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it has more than %d bytes", maxFileBytes)}
	}
	return content, err
}

func digest(content []byte, err error) [sha256.Size]byte {
	if err != nil {
		return sha256.Sum256([]byte("error: " + err.Error()))
	}
	return sha256.Sum256(append([]byte("content: "), content...))
}

// now returns the files as they are at the moment. What is no regular file, such as a
// pipe, can be read once only and counts as unchanged.
func (f files) now() files {
	now := files{}
	for path, before := range f {
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			now[path] = before
			continue
		}
		_, _ = now.read(path) // its digest is what is wanted
	}
	return now
}

// changed returns the paths whose content is not the same in both, sorted.
func (f files) changed(other files) []string {
	var paths []string
	for _, path := range slices.Sorted(maps.Keys(f)) {
		if sum, ok := other[path]; !ok || sum != f[path] {
			paths = append(paths, path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(other)) {
		if _, ok := f[path]; !ok {
			paths = append(paths, path)
		}
	}
	return paths
}
