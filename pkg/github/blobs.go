package github

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	gh "github.com/google/go-github/v62/github"
	"golang.org/x/sync/errgroup"
)

const (
	opBlob  = "GET /repos/{owner}/{repo}/git/blobs/{file_sha}"
	rawBlob = "application/vnd.github.raw+json"
	// maxBlob is the largest blob that is read; GitHub's own limit is 100 MB.
	maxBlob = 100 << 20
)

// Read calls visit once for each entry with its index and its content, one call at a
// time and in no particular order. A content comes from the cache; those that are not
// there come from one archive of the whole commit when that is cheaper, else from
// several requests at a time. Each is checked against the entry's SHA. Contents are
// shared: they must not be changed, and stay valid. Read stops at an error of visit
// and returns it unchanged.
func (b *Branch) Read(ctx context.Context, s *Snapshot, entries []Entry, visit func(i int, content []byte) error) error {
	r := &reading{branch: b, client: b.client, snapshot: s, entries: entries, visit: visit}
	unknown, err := r.fromCache()
	if err != nil || len(unknown) == 0 {
		return err
	}
	leave, err := b.limits().enter(ctx, filesPlace, opBlob)
	if err != nil {
		return err
	}
	defer leave()
	r.miss(unknown)
	if err := r.fromArchive(ctx); err != nil {
		return err
	}
	return r.fromBlobs(ctx)
}

// fromCache delivers what is known, and returns the indexes of the other entries.
func (r *reading) fromCache() (unknown []int, err error) {
	for i, e := range r.entries {
		content, ok := r.client.blobs.Get(e.SHA)
		if !ok {
			unknown = append(unknown, i)
			continue
		}
		if err := r.visit(i, content); err != nil {
			return nil, err
		}
	}
	return unknown, nil
}

// miss makes the entries of these indexes those that are missing.
func (r *reading) miss(unknown []int) {
	r.missing = make(map[SHA][]int, len(unknown))
	for _, i := range unknown {
		r.missing[r.entries[i].SHA] = append(r.missing[r.entries[i].SHA], i)
	}
}

// reading is one call of Read.
type reading struct {
	branch   *Branch
	client   *Client
	snapshot *Snapshot
	entries  []Entry
	visit    func(i int, content []byte) error
	missing  map[SHA][]int // the entries that wait for each blob
}

// deliver visits the entries that wait for a blob with its content, which is checked.
func (r *reading) deliver(sha SHA, content []byte) error {
	r.client.blobs.Put(sha, content)
	waiting := r.missing[sha]
	delete(r.missing, sha)
	for _, i := range waiting {
		if err := r.visit(i, content); err != nil {
			return err
		}
	}
	return nil
}

// arrival is a blob that was fetched.
type arrival struct {
	sha     SHA
	content []byte
}

// fromBlobs fetches each missing blob by itself, several at a time, and delivers them
// one after the other.
func (r *reading) fromBlobs(ctx context.Context) error {
	if len(r.missing) == 0 {
		return nil
	}
	queue := make([]Entry, 0, len(r.missing))
	for _, waiting := range r.missing {
		queue = append(queue, r.entries[waiting[0]])
	}
	wanted, arrived := make(chan Entry), make(chan arrival)
	group, each := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(wanted)
		for _, e := range queue {
			if !send(each, wanted, e) {
				break
			}
		}
		return nil
	})
	for range min(parallelReads, len(queue)) {
		group.Go(func() error { return r.fetch(each, wanted, arrived) })
	}
	group.Go(func() error {
		for range queue {
			select {
			case a := <-arrived:
				if err := r.deliver(a.sha, a.content); err != nil {
					return err
				}
			case <-each.Done():
				return nil
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return translate(ctx, opBlob, nil, cause(ctx))
}

// fetch fetches the wanted blobs until the channel is closed.
func (r *reading) fetch(ctx context.Context, wanted <-chan Entry, arrived chan<- arrival) error {
	for e := range wanted {
		content, err := r.client.blob(ctx, r.snapshot.Repo, e)
		if err != nil {
			return err
		}
		if !send(ctx, arrived, arrival{e.SHA, content}) {
			break
		}
	}
	return nil
}

// send reports whether the value was taken before ctx ended.
func send[T any](ctx context.Context, to chan<- T, value T) bool {
	select {
	case to <- value:
		return true
	case <-ctx.Done():
		return false
	}
}

// blob fetches one blob and checks it.
func (c *Client) blob(ctx context.Context, repo Repo, e Entry) ([]byte, error) {
	if e.Size > maxBlob {
		return nil, &Error{Kind: ErrUpstream, Op: opBlob, Detail: fmt.Sprintf("%.80q is larger than GitHub's API gives out", e.Path)}
	}
	if !e.SHA.valid() {
		return nil, nonsense(opBlob, http.StatusOK, fmt.Errorf("%.60q is not the name of a blob", e.SHA))
	}
	var content []byte
	err := c.ask(ctx, request{op: opBlob, repo: repo}, func(ctx context.Context) (*gh.Response, error) {
		req, err := c.api.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/git/blobs/%s", repo.Owner, repo.Name, e.SHA), nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", rawBlob)
		resp, err := c.api.BareDo(ctx, req)
		if err != nil {
			return resp, err
		}
		defer closeBody(resp.Body)
		content, err = readBlob(resp.Body, e)
		return resp, err
	})
	return content, err
}

// readBlob reads a blob's raw bytes, or the JSON that some servers send in their
// place. The entry's hash decides which of them it is.
func readBlob(body io.Reader, e Entry) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, 2*e.Size+64<<10))
	if err != nil {
		return nil, err
	}
	if blobSHA(data) == e.SHA {
		return bytes.Clone(data), nil // without the spare room
	}
	var answer struct {
		Content  string `json:"content"`
		Encoding string `json:"encoding"`
	}
	if json.Unmarshal(data, &answer) == nil && answer.Encoding == "base64" {
		data, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(answer.Content, "\n", ""))
		if err == nil && blobSHA(data) == e.SHA {
			return data, nil
		}
	}
	return nil, fmt.Errorf("the content of %.80q does not hash to %s", e.Path, e.SHA)
}

// cause returns the cause of ctx's end, or nil while it has not ended.
func cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}
