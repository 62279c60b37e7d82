package sandbox

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

const treeTimeoutText = "Sorry, your request timed out.  It's likely that your input was too large to process.  " +
	"Consider building the tree incrementally, or building the commits you need in a local clone of the repository " +
	"and then pushing them to GitHub."

// getTree lists a tree named by its own SHA, a commit's SHA or a reference. In
// the last two cases the answer's sha is the commit's, as on GitHub.
func getTree(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	named, tree, err := c.findTree(c.r.PathValue("tree_sha"))
	if err != nil {
		return nil, err
	}
	recursive := isRecursive(c.r.URL.RawQuery)
	body, err := c.listTree(named, tree, recursive)
	if err != nil {
		return nil, err
	}
	version := fmt.Sprintf("%s %s %t %d %d %s", named, tree, recursive, c.set.TreeEntries, c.set.TreeBytes, c.repoURL())
	return &response{raw: body, version: version}, nil
}

func (c *call) findTree(name string) (named, tree bare.Hash, err error) {
	if h, ok := bare.ParseHash(name); ok {
		o, err := c.repo.git.Get(h)
		if err != nil {
			return h, h, err
		}
		if o.Kind == bare.KindTree {
			return h, h, nil
		}
		if named, err = c.repo.peel(h); err != nil {
			return h, h, err
		}
	} else if named, err = c.readRevision(name); err != nil {
		return named, tree, err
	}
	commit, err := c.repo.git.Commit(named)
	return named, commit.Tree, err
}

// readRevision is resolve as this request shall see it: branches may be stale.
func (c *call) readRevision(name string) (bare.Hash, error) {
	branch := strings.TrimPrefix(strings.TrimPrefix(name, "refs/"), "heads/")
	if h, err := c.readRef("refs/heads/" + branch); err == nil {
		return h, nil
	}
	return c.repo.resolve(name)
}

// isRecursive follows GitHub: any value means yes, also 0, false and nothing
// after the equals sign; only no parameter, or a bare one, means no.
func isRecursive(query string) bool {
	for pair := range strings.SplitSeq(query, "&") {
		if key, _, equals := strings.Cut(pair, "="); key == "recursive" && equals {
			return true
		}
	}
	return false
}

// listTree writes the answer by hand: a listing of 100,000 entries is asked
// for in every cold start, and encoding/json would take most of its time.
func (c *call) listTree(named, tree bare.Hash, recursive bool) ([]byte, error) {
	blobs := strings.Trim(string(quote(c.repoURL("git/blobs"))), `"`) + "/"
	trees := strings.Trim(string(quote(c.repoURL("git/trees"))), `"`) + "/"
	expected := 1 << 12
	if recursive {
		expected += int(c.repo.listed.Load())
	}
	out := fmt.Appendf(make([]byte, 0, expected), `{"sha":"%s","url":"%s%[1]s","tree":[`, named, trees)
	count, listed, truncated := 0, 0, false
	var failed error
	visit := func(e bare.WalkEntry) bool {
		if recursive {
			listed += len("040000 tree  \t\n") + 40 + len(e.Path)
			if count >= c.set.TreeEntries || listed > c.set.TreeBytes {
				truncated = true
				return false
			}
		}
		if count > 0 {
			out = append(out, ',')
		}
		count++
		out, failed = c.appendEntry(out, e, blobs, trees)
		return failed == nil
	}
	var err error
	if recursive {
		err = c.repo.git.Walk(tree, visit)
	} else {
		err = c.visitOnly(tree, visit)
	}
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	out = append(out, `],"truncated":`...)
	out = append(strconv.AppendBool(out, truncated), '}')
	if recursive {
		c.repo.listed.Store(int64(len(out)))
	}
	return out, nil
}

func (c *call) visitOnly(tree bare.Hash, visit func(bare.WalkEntry) bool) error {
	entries, err := c.repo.git.Tree(tree)
	for _, e := range entries {
		if !visit(bare.WalkEntry{Path: e.Name, Entry: e}) {
			break
		}
	}
	return err
}

// appendEntry writes one entry; blobs and trees are the beginnings of URLs.
func (c *call) appendEntry(out []byte, e bare.WalkEntry, blobs, trees string) ([]byte, error) {
	out = append(out, `{"path":`...)
	out = append(out, quote(e.Path)...)
	out = append(out, `,"mode":"`...)
	out = append(out, e.Mode.String()...)
	out = append(out, `","type":"`...)
	out = append(out, e.Mode.Kind().String()...)
	out = append(out, `","sha":"`...)
	out = hex.AppendEncode(out, e.Hash[:])
	out = append(out, '"')
	var url string
	switch e.Mode.Kind() {
	case bare.KindBlob:
		_, size, err := c.repo.git.Stat(e.Hash)
		if err != nil {
			return out, err
		}
		out = append(out, `,"size":`...)
		out = strconv.AppendInt(out, size, 10)
		url = blobs
	case bare.KindTree:
		url = trees
	}
	if url != "" { // a submodule has none
		out = append(out, `,"url":"`...)
		out = append(out, url...)
		out = hex.AppendEncode(out, e.Hash[:])
		out = append(out, '"')
	}
	return append(out, '}'), nil
}

// quote writes a JSON string; the plain ones, nearly all, without a detour.
func quote(s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			b, err := encodeJSON(s)
			if err != nil {
				return []byte(`""`)
			}
			return b
		}
	}
	b := make([]byte, 0, len(s)+2)
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func createTree(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	list, err := f.list("tree")
	if err != nil {
		return nil, err
	}
	if set := c.set; set.NewTreeEntries > 0 && len(list) > set.NewTreeEntries || set.NewTreeBytes > 0 && len(c.body) > set.NewTreeBytes {
		return nil, invalid("%s", treeTimeoutText)
	}
	base, err := c.baseTree(f)
	if err != nil {
		return nil, err
	}
	tree, err := c.repo.store(len(list), func(sink bare.Sink) (bare.Hash, error) { return c.changeTree(base, list, sink) })
	if err != nil {
		return nil, err
	}
	body, err := c.listTree(tree, tree, false)
	return &response{status: http.StatusCreated, raw: body, location: c.repoURL("git/trees", tree.String())}, err
}

func (c *call) changeTree(base bare.Hash, list []any, sink bare.Sink) (bare.Hash, error) {
	changes := make([]bare.Change, 0, len(list))
	for _, v := range list {
		o, ok := v.(map[string]any)
		if !ok {
			return bare.Hash{}, schemaError("For 'items', %s is not an object.", inspect(v))
		}
		change, err := c.treeChange(o, sink)
		if err != nil {
			return bare.Hash{}, err
		}
		changes = append(changes, change)
	}
	tree, err := c.repo.git.EditTree(base, changes, sink)
	switch {
	case errors.Is(err, bare.ErrBadPath):
		err = invalid("tree.path contains a malformed path component")
	case errors.Is(err, bare.ErrConflict):
		err = invalid("GitRPC::BadObjectState")
	}
	return tree, err
}

// baseTree takes a tree, and a commit as GitHub in practice does.
func (c *call) baseTree(f fields) (bare.Hash, error) {
	if _, ok := f["base_tree"]; !ok {
		return bare.Hash{}, nil
	}
	sha, err := f.text("base_tree")
	if err != nil {
		return bare.Hash{}, err
	}
	if h, ok := bare.ParseHash(sha); ok {
		if _, tree, err := c.findTree(h.String()); err == nil {
			return tree, nil
		}
	}
	return bare.Hash{}, invalid("base_tree is not a valid tree oid")
}

// workflows is where files may only be written with a permission of their own.
const workflows = ".github/workflows"

// treeChange checks one entry of the request and stores its content.
func (c *call) treeChange(o fields, sink bare.Sink) (bare.Change, error) {
	var change bare.Change
	var err error
	if change.Path, err = o.text("path"); err != nil {
		return change, err
	}
	if strings.HasPrefix(change.Path, "/") {
		return change, invalid("tree.path cannot start with a slash")
	}
	touches := change.Path == ".github" || change.Path == workflows || strings.HasPrefix(change.Path, workflows+"/")
	if touches && !c.may("workflows", Write) {
		return change, notFound()
	}
	mode, err := o.textOr("mode", "")
	if err != nil {
		return change, err
	}
	sha, hasSHA := o["sha"]
	content, hasContent := o["content"]
	if hasSHA && sha == nil && !hasContent {
		change.Remove = true
		return change, nil
	}
	var ok bool
	if change.Mode, ok = bare.ParseMode(mode); !ok {
		return change, invalid("Must supply a valid tree.mode")
	}
	if hasSHA == hasContent {
		return change, invalid("Must supply either tree.sha or tree.content. Request will be rejected if both are present.")
	}
	if hasContent {
		return change, storeContent(&change, content, sink)
	}
	return change, c.nameObject(&change, o)
}

func storeContent(change *bare.Change, content any, sink bare.Sink) error {
	text, ok := content.(string)
	if !ok {
		return schemaError("For 'properties/content', %s is not a string.", inspect(content))
	}
	if change.Mode.Kind() != bare.KindBlob {
		return invalid("A subdirectory may not have content")
	}
	var err error
	change.Hash, err = sink.Put(bare.KindBlob, []byte(text))
	return err
}

func (c *call) nameObject(change *bare.Change, o fields) error {
	sha, err := o.text("sha")
	if err != nil {
		return err
	}
	kind := change.Mode.Kind()
	if given, err := o.textOr("type", kind.String()); err != nil || given != kind.String() {
		return errors.Join(err, invalid("GitRPC::BadObjectState"))
	}
	h, ok := bare.ParseHash(sha)
	if !ok {
		return invalid("The tree.sha parameter must be exactly 40 characters and contain only [0-9a-f].")
	}
	if h.IsZero() {
		return invalid("GitRPC::BadObjectState")
	}
	change.Hash = h
	if kind == bare.KindCommit { // a submodule's commit lies elsewhere
		return nil
	}
	switch found, _, err := c.repo.git.Stat(h); {
	case errors.Is(err, bare.ErrNotFound):
		return invalid("tree.sha %s is not a valid %s", h, kind)
	case err != nil:
		return err
	case found != kind:
		return invalid("GitRPC::BadObjectState")
	}
	return nil
}
