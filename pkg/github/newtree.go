package github

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	gh "github.com/google/go-github/v62/github"
)

const (
	opNewTree = "POST /repos/{owner}/{repo}/git/trees"
	opNewBlob = "POST /repos/{owner}/{repo}/git/blobs"
	// maxTreeEntries and maxTreeBytes bound one request that makes a tree. GitHub
	// documents no limit; users report timeouts from 200 files or 2.5 MB on.
	maxTreeEntries = 100
	maxTreeBytes   = 1 << 20
	// workflows is the folder whose files only a special permission may change.
	workflows = ".github/workflows/"
)

// newTree makes the tree of the snapshot with the edits, in as many requests as their
// size needs. Each request builds on the tree of the one before.
func (b *Branch) newTree(ctx context.Context, s *Snapshot, edits []Edit) (SHA, error) {
	tree := s.Tree
	for len(edits) > 0 {
		n := chunk(edits)
		next, err := b.graft(ctx, s.Repo, tree, edits[:n])
		if err != nil {
			return "", err
		}
		tree, edits = next, edits[n:]
	}
	return tree, nil
}

// chunk returns how many of the edits fit into one request, at least one.
func chunk(edits []Edit) int {
	size := 0
	for n, e := range edits {
		size += jsonSize(e)
		if n > 0 && (size > maxTreeBytes || n == maxTreeEntries) {
			return n
		}
	}
	return len(edits)
}

// jsonSize estimates the bytes of an edit in a request's body.
func jsonSize(e Edit) int {
	const around = 80 // names, mode and quotes
	size := around + len(e.Path) + len(e.Content)
	for _, c := range e.Content {
		switch {
		case c == '<' || c == '>' || c == '&':
			size += len(`\u003c`) - 1
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t':
			size++
		case c < ' ':
			size += len(`\u0000`) - 1
		}
	}
	return size
}

// graft makes the tree of base with the edits. If that takes GitHub too long, graft
// asks for one half after the other.
func (b *Branch) graft(ctx context.Context, repo Repo, base SHA, edits []Edit) (SHA, error) {
	entries := make([]*gh.TreeEntry, len(edits))
	for i, e := range edits {
		var err error
		if entries[i], err = b.treeEntry(ctx, repo, e); err != nil {
			return "", err
		}
	}
	tree, err := b.postTree(ctx, repo, base, entries)
	if !tookTooLong(err) || len(edits) == 1 {
		return tree, err
	}
	half := len(edits) / 2
	if tree, err = b.graft(ctx, repo, base, edits[:half]); err != nil {
		return "", err
	}
	return b.graft(ctx, repo, tree, edits[half:])
}

func tookTooLong(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusUnprocessableEntity && strings.Contains(e.text, "timed out")
}

// treeEntry returns an edit as GitHub takes it. Text is part of the entry; content
// that is not UTF-8, which JSON cannot hold, is stored as a blob first.
func (b *Branch) treeEntry(ctx context.Context, repo Repo, e Edit) (*gh.TreeEntry, error) {
	mode := ModeFile
	if e.Mode == ModeExecutable {
		mode = e.Mode
	}
	entry := &gh.TreeEntry{Path: gh.String(e.Path), Mode: gh.String(string(mode)), Type: gh.String("blob")}
	if utf8.Valid(e.Content) {
		entry.Content = gh.String(string(e.Content))
		return entry, nil
	}
	sha, err := b.postBlob(ctx, repo, e.Content)
	entry.SHA = gh.String(string(sha))
	return entry, err
}

func (b *Branch) postBlob(ctx context.Context, repo Repo, content []byte) (SHA, error) {
	var made *gh.Blob
	blob := &gh.Blob{Content: gh.String(base64.StdEncoding.EncodeToString(content)), Encoding: gh.String("base64")}
	err := b.client.ask(ctx, request{op: opNewBlob, repo: repo, write: true}, func(ctx context.Context) (resp *gh.Response, err error) {
		made, resp, err = b.client.api.Git.CreateBlob(ctx, repo.Owner, repo.Name, blob)
		if want := blobSHA(content); err == nil && made.GetSHA() != string(want) {
			err = fmt.Errorf("the blob is %.60q and not %s", made.GetSHA(), want)
		}
		return resp, err
	})
	return SHA(made.GetSHA()), err
}

func (b *Branch) postTree(ctx context.Context, repo Repo, base SHA, entries []*gh.TreeEntry) (SHA, error) {
	var made *gh.Tree
	r := request{op: opNewTree, repo: repo, write: true, again: notReplicated}
	err := b.client.ask(ctx, r, func(ctx context.Context) (resp *gh.Response, err error) {
		made, resp, err = b.client.api.Git.CreateTree(ctx, repo.Owner, repo.Name, string(base), entries)
		if err == nil && !SHA(made.GetSHA()).valid() {
			err = fmt.Errorf("%.60q is not the name of a tree", made.GetSHA())
		}
		return resp, err
	})
	return SHA(made.GetSHA()), err
}
