package github

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	gh "github.com/google/go-github/v62/github"
)

const (
	opArchive = "GET /repos/{owner}/{repo}/tarball/{ref}"
	// archiveFrom is the least number of missing blobs for which the archive of the
	// whole commit is downloaded.
	archiveFrom = 4
	// maxArchive bounds the files of a commit that is downloaded as an archive, in
	// bytes.
	maxArchive = 1 << 30
	// archiveRate is how fast an archive arrives, in bytes of its files a second: they
	// are packed to about a quarter.
	archiveRate = 20 << 20
	// worthOfRequest is the time that an archive may take longer for each request that
	// it saves. GitHub allows one each 720 ms of an hour.
	worthOfRequest = 150 * time.Millisecond
	// scarce is how many times the missing blobs the rest of the hour's budget is to be.
	scarce = 4
	// aroundFile and aroundArchive bound what an archive holds beside the contents of
	// its files, in bytes: headers, and what export-subst inserts.
	aroundFile    = 4 << 10
	aroundArchive = 16 << 20
	// archiveStall bounds the time in which a download brings nothing.
	archiveStall = 20 * time.Second
	// archiveAttempts bounds the attempts at an archive whose download breaks off.
	archiveAttempts = 2
)

// archivePays reports whether one archive is cheaper than a request for each missing
// blob, in time and in requests, or is all that is left of the hour's budget.
func (r *reading) archivePays() bool {
	blobs, size := len(r.missing), r.snapshot.size()
	if blobs < archiveFrom || size > maxArchive {
		return false
	}
	if left := r.branch.limits().known(); left.Limit > 0 && left.Remaining < scarce*blobs {
		return true
	}
	trip := r.client.trip.get()
	rounds := (blobs + parallelReads - 1) / parallelReads
	one := 2*trip + worthOfRequest + time.Duration(float64(size)/archiveRate*float64(time.Second))
	each := time.Duration(rounds)*trip + time.Duration(blobs)*worthOfRequest
	return one <= each
}

// size is the sum of the files, in bytes.
func (s *Snapshot) size() int64 {
	var size int64
	for _, e := range s.Entries {
		size += e.Size
	}
	return size
}

// archiveBound is the most that the archive of the snapshot's commit may unpack to, in
// bytes.
func (s *Snapshot) archiveBound() int64 {
	return 2*s.size() + aroundFile*int64(len(s.Entries)+len(s.listing.dirs)+len(s.listing.modules)) + aroundArchive
}

// fromArchive delivers the missing blobs that the commit's archive holds. A server
// that gives no archive, or half of one, is no error: blobs that are still missing
// are then fetched one by one.
func (r *reading) fromArchive(ctx context.Context) error {
	for attempt := 1; r.archivePays() && !r.branch.noArchives.Load(); attempt++ {
		address, err := r.client.archiveURL(ctx, r.snapshot)
		if err != nil {
			if lacksArchives(err) {
				r.branch.noArchives.Store(true)
			}
			return hard(err)
		}
		err = r.unpack(ctx, address)
		var own *visitError
		if errors.As(err, &own) {
			return own.err
		}
		if err == nil || ctx.Err() != nil || attempt == archiveAttempts {
			return translate(ctx, opArchive, nil, cause(ctx))
		}
	}
	return nil
}

// unpack downloads an archive and delivers from it.
func (r *reading) unpack(ctx context.Context, address *url.URL) error {
	download, err := r.client.download(ctx, address)
	if err != nil {
		return err
	}
	defer closeBody(download)
	wanted := make(map[string]Entry, len(r.missing))
	for _, waiting := range r.missing {
		for _, i := range waiting {
			wanted[r.entries[i].Path] = r.entries[i]
		}
	}
	return readArchive(download, r.snapshot.Commit, r.snapshot.archiveBound(), func(path string, size int64, content io.Reader) error {
		e, ok := wanted[path]
		if !ok || r.missing[e.SHA] == nil || e.Size != size || size > maxBlob {
			return nil
		}
		data := make([]byte, size)
		if _, err := io.ReadFull(content, data); err != nil {
			return fmt.Errorf("read %.80q: %w", path, err)
		}
		if blobSHA(data) != e.SHA {
			return nil // rewritten by export-subst
		}
		if err := r.deliver(e.SHA, data); err != nil {
			return &visitError{err}
		}
		if len(r.missing) == 0 {
			return errEnough
		}
		return nil
	})
}

// lacksArchives reports whether the error is that of a server without this operation,
// or of one that refuses it to this credential.
func lacksArchives(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusUnauthorized || e.Status == http.StatusNotImplemented)
}

// hard returns err if requests for blobs would fail with it as well, else nil.
func hard(err error) error {
	if isLimited(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// errEnough ends the reading of an archive whose rest is not wanted.
var errEnough = errors.New("enough")

// visitError is an error that the caller's visit returned.
type visitError struct{ err error }

func (e *visitError) Error() string { return e.err.Error() }

// archiveURL asks where the archive of the snapshot's commit is.
func (c *Client) archiveURL(ctx context.Context, s *Snapshot) (*url.URL, error) {
	var location *url.URL
	err := c.ask(ctx, request{op: opArchive, repo: s.Repo}, func(ctx context.Context) (*gh.Response, error) {
		req, err := c.api.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/tarball/%s", s.Repo.Owner, s.Repo.Name, s.Commit), nil)
		if err != nil {
			return nil, err
		}
		resp, err := c.api.BareDo(ctx, req)
		if resp == nil {
			return nil, err
		}
		closeBody(resp.Body)
		if resp.StatusCode != http.StatusFound {
			if err == nil {
				err = fmt.Errorf("a redirect was expected, not status %d", resp.StatusCode)
			}
			return resp, err
		}
		location, err = resp.Location()
		return resp, err
	})
	return location, err
}

// download fetches an archive without the credential.
func (c *Client) download(ctx context.Context, address *url.URL) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stall := time.AfterFunc(archiveStall, func() { cancel(errors.New("the download of the archive stalled")) })
	body := &patientBody{stall: stall, cancel: cancel}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		body.stop()
		return nil, unreachable(opArchive, errors.New("the archive's address is not understood"))
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := c.archives.Do(req)
	if err != nil {
		body.stop()
		return nil, unreachable(opArchive, err)
	}
	body.ReadCloser = resp.Body
	if resp.StatusCode != http.StatusOK {
		closeBody(body)
		return nil, &Error{Kind: ErrUpstream, Op: opArchive, Status: resp.StatusCode, Detail: "the archive could not be downloaded"}
	}
	return body, nil
}

// patientBody is a download that is cancelled when it brings nothing for
// archiveStall.
type patientBody struct {
	io.ReadCloser
	stall  *time.Timer
	cancel context.CancelCauseFunc
}

func (b *patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.stall.Reset(archiveStall)
	return n, err
}

func (b *patientBody) Close() error {
	err := b.ReadCloser.Close()
	b.stop()
	return err
}

func (b *patientBody) stop() {
	b.stall.Stop()
	b.cancel(nil)
}

// readArchive calls visit for each file and symbolic link of a gzipped tar as git
// archive makes it, with the path below its top folder. It returns nil at the end of
// the archive, or as soon as visit returns errEnough. It returns an error for an
// archive that names another commit, or that has more than bound bytes.
func readArchive(r io.Reader, commit SHA, bound int64, visit func(path string, size int64, content io.Reader) error) error {
	unzipped, err := gzip.NewReader(bounded(r, bound))
	if err != nil {
		return err
	}
	for archive := tar.NewReader(bounded(unzipped, bound)); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		content, size := io.Reader(archive), h.Size
		switch h.Typeflag {
		case tar.TypeXGlobalHeader:
			if of := h.PAXRecords["comment"]; of != "" && of != string(commit) {
				return fmt.Errorf("the archive is of commit %.40q", of)
			}
			continue
		case tar.TypeReg:
		case tar.TypeSymlink:
			content, size = strings.NewReader(h.Linkname), int64(len(h.Linkname))
		default:
			continue
		}
		_, path, ok := strings.Cut(h.Name, "/")
		if !ok {
			continue
		}
		if err := visit(path, size, content); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
