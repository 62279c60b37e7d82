package github

import (
	"context"
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

// NewPace returns what a commit waits for.
func NewPace(now func() time.Time, sleep func(context.Context, time.Duration) error) func(context.Context) error {
	l := newLimiter(now, sleep, true)
	return l.admitCommit
}
