package github

import (
	"bytes"
	"context"
	"fmt"
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

// EditListing returns what computes the tree after one edit of a folder of so many files,
// again and again on what came before.
func EditListing(files int) func() {
	l := &listing{dirs: []Entry{{Mode: modeTree}, {Path: "apps", Mode: modeTree}}}
	for i := range files {
		l.files = append(l.files, Entry{Path: fmt.Sprintf("apps/app-%05d.yaml", i), Mode: ModeFile, SHA: blobSHA([]byte{byte(i)}), Size: 1})
	}
	l.dirs[1].SHA = treeSHA(l.children("apps"))
	l.dirs[0].SHA = treeSHA(l.children(""))
	n := 0
	return func() {
		n++
		l, _ = l.edited([]Edit{{Path: "apps/app-00007.yaml", Mode: ModeFile, Content: []byte(fmt.Sprint(n))}})
	}
}

// NewPace returns what a commit waits for.
func NewPace(now func() time.Time, sleep func(context.Context, time.Duration) error) func(context.Context) error {
	l := newLimiter(now, sleep, true)
	return l.admitCommit
}

// NewPlaces returns what readings of trees and of files wait for, and how a place is left.
func NewPlaces(free int) (enter func(ctx context.Context, files bool) error, leave func()) {
	p := &places{free: free}
	return func(ctx context.Context, files bool) error {
		if files {
			return p.enter(ctx, filesPlace)
		}
		return p.enter(ctx, treePlace)
	}, p.leave
}
