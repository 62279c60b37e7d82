package github

import (
	"bytes"
	"context"
	"strings"
	"time"
)

// The parsers of what a server sends, for the fuzz targets.
var (
	ReadArchive = readArchive
	DecodeTree  = decodeTree
	PeekAnswer  = peekAnswer
	BlobSHA     = blobSHA
	EndpointOf  = endpointOf
)

// ListTree does with an answer for a tree what a commit and a truncated listing do.
func ListTree(answer []byte) error {
	entries, _, err := decodeTree(bytes.NewReader(answer), "")
	if err != nil {
		return err
	}
	l := &listing{dirs: []Entry{{Mode: modeTree, SHA: SHA(strings.Repeat("0", 40))}}}
	l.add("", entries)
	l.sorted().whole()
	var edits []Edit
	for _, e := range l.files[:min(len(l.files), 10)] {
		edits = append(edits, Edit{Path: e.Path, Content: []byte("a")})
	}
	l.edited(edits)
	return nil
}

// NewPace returns what a commit waits for.
func NewPace(now func() time.Time, sleep func(context.Context, time.Duration) error) func(context.Context) error {
	l := newLimiter(now, sleep, true)
	return l.admitCommit
}
