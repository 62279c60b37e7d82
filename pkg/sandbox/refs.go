package sandbox

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

type refJSON struct {
	Ref    string     `json:"ref"`
	NodeID string     `json:"node_id"`
	URL    string     `json:"url"`
	Object objectJSON `json:"object"`
}

type objectJSON struct {
	Type string `json:"type"`
	SHA  string `json:"sha"`
	URL  string `json:"url"`
}

func (c *call) refJSON(ref bare.Ref) (refJSON, error) {
	kind, _, err := c.repo.git.Stat(ref.Hash)
	if err != nil {
		return refJSON{}, err
	}
	return refJSON{
		Ref:    ref.Name,
		NodeID: nodeID("REF", c.repo.id, ref.Name),
		URL:    c.repoURL("git", ref.Name),
		Object: objectJSON{kind.String(), ref.Hash.String(), c.repoURL("git", kind.String()+"s", ref.Hash.String())},
	}, nil
}

// readRef reads a reference as this request shall see it: stale, when the
// settings or a fault say so.
func (c *call) readRef(name string) (bare.Hash, error) {
	now, err := c.repo.git.Ref(name)
	if errors.Is(err, bare.ErrBadRefName) {
		return now, notFound()
	}
	if before, stale := c.staleRef(name); stale {
		if before.IsZero() {
			return before, bare.ErrNoRef
		}
		return before, nil
	}
	return now, err
}

func (c *call) staleRef(name string) (before bare.Hash, stale bool) {
	c.repo.mu.Lock()
	defer c.repo.mu.Unlock()
	w := c.repo.writes[name]
	if w == nil {
		return before, false
	}
	if c.has(EffectStale) {
		return w.before, true
	}
	lag := c.set.StaleReads
	if lag.Reads <= 0 && lag.Window <= 0 {
		return before, false
	}
	if lag.Reads > 0 && w.reads >= lag.Reads || lag.Window > 0 && c.start.Sub(w.at) >= time.Duration(lag.Window) {
		return before, false
	}
	w.reads++
	return w.before, true
}

// isEmpty reports whether the repository has no reference at all, which makes
// most operations on its objects a conflict.
func (c *call) isEmpty() (bool, error) {
	refs, err := c.repo.git.Refs("refs/")
	return len(refs) == 0, err
}

func (c *call) refuseEmpty() error {
	empty, err := c.isEmpty()
	if err == nil && empty {
		return refuse(http.StatusConflict, "Git Repository is empty.")
	}
	return err
}

func getRef(c *call) (*response, error) {
	name := "refs/" + c.r.PathValue("ref")
	h, err := c.readRef(name)
	if err != nil {
		if empty := c.refuseEmpty(); empty != nil {
			return nil, empty
		}
		return nil, err
	}
	body, err := c.refJSON(bare.Ref{Name: name, Hash: h})
	return &response{body: body}, err
}

func listMatchingRefs(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	refs, err := c.repo.git.Refs("refs/" + c.r.PathValue("ref"))
	if err != nil {
		return nil, err
	}
	list := make([]refJSON, 0, len(refs))
	for _, ref := range refs {
		if ref.Hash, err = c.readRef(ref.Name); err != nil {
			continue // a stale read from before it was made
		}
		one, err := c.refJSON(ref)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return &response{body: list}, nil
}

// getRefOrMatching is the older form of both.
func getRefOrMatching(c *call) (*response, error) {
	a, err := getRef(c)
	if !errors.Is(err, bare.ErrNoRef) {
		return a, err
	}
	a, err = listMatchingRefs(c)
	if list, ok := a.bodyOf().([]refJSON); ok && len(list) == 0 {
		return nil, notFound()
	}
	return a, err
}

func (a *response) bodyOf() any {
	if a == nil {
		return nil
	}
	return a.body
}

// objectFor checks the sha that a reference is to have.
func (c *call) objectFor(sha string, branch bool) (bare.Hash, error) {
	h, err := hashField("sha", sha)
	if err != nil {
		return h, err
	}
	kind, _, err := c.repo.git.Stat(h)
	if errors.Is(err, bare.ErrNotFound) {
		return h, invalid("Object does not exist")
	}
	if err == nil && branch && kind != bare.KindCommit {
		return h, invalid("Object is not a commit")
	}
	return h, err
}

func hashField(name, sha string) (bare.Hash, error) {
	h, ok := bare.ParseHash(sha)
	if !ok {
		return h, invalid("The %s parameter must be exactly 40 characters and contain only [0-9a-f].", name)
	}
	return h, nil
}

func createRef(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	name, err1 := f.text("ref")
	sha, err2 := f.text("sha")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := bare.CheckRefName(name); err != nil {
		return nil, invalid("%s is not a valid ref name.", name)
	}
	h, err := c.objectFor(sha, strings.HasPrefix(name, "refs/heads/"))
	if err != nil {
		return nil, err
	}
	if p, ok := c.repo.protection(name); ok && p.Ruleset {
		return nil, invalid("Reference update failed")
	}
	if _, err := c.repo.git.Ref(name); err == nil {
		return nil, invalid("Reference already exists")
	}
	if err := c.swap(name, bare.Hash{}, h); err != nil {
		return nil, err
	}
	body, err := c.refJSON(bare.Ref{Name: name, Hash: h})
	return &response{status: http.StatusCreated, body: body, location: body.URL}, err
}

// swap moves a reference; whatever stands in the way is a lost race.
func (c *call) swap(name string, from, to bare.Hash) error {
	err := c.repo.swap(name, from, to)
	switch {
	case errors.Is(err, bare.ErrRefChanged), errors.Is(err, bare.ErrRefLocked):
		return invalid("Reference cannot be updated")
	case err != nil:
		c.logger.Warn("reference update failed", "reference", name, "error", err)
		return invalid("Reference update failed")
	}
	return nil
}

// presentRef reads the reference that a write is about; never stale.
func (c *call) presentRef() (name string, now bare.Hash, err error) {
	name = "refs/" + c.r.PathValue("ref")
	now, err = c.repo.git.Ref(name)
	if errors.Is(err, bare.ErrNoRef) || errors.Is(err, bare.ErrBadRefName) {
		if empty := c.refuseEmpty(); empty != nil {
			return name, now, empty
		}
		err = invalid("Reference does not exist")
	}
	return name, now, err
}

func updateRef(c *call) (*response, error) {
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	sha, err1 := f.text("sha")
	force, err2 := f.flag("force")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	name, now, err := c.presentRef()
	if err != nil {
		return nil, err
	}
	to, err := c.objectFor(sha, strings.HasPrefix(name, "refs/heads/"))
	if err != nil {
		return nil, err
	}
	if to != now {
		if err := c.moveRef(name, now, to, force); err != nil {
			return nil, err
		}
	}
	body, err := c.refJSON(bare.Ref{Name: name, Hash: to})
	return &response{body: body}, err
}

func (c *call) moveRef(name string, now, to bare.Hash, force bool) error {
	if !force {
		forward, err := c.repo.git.IsAncestor(now, to)
		if err != nil {
			return err
		}
		if !forward {
			return invalid("Update is not a fast forward")
		}
	}
	if p, ok := c.repo.protection(name); ok {
		return p.refusal()
	}
	return c.swap(name, now, to)
}

func deleteRef(c *call) (*response, error) {
	name, now, err := c.presentRef()
	if err != nil {
		return nil, err
	}
	if p, ok := c.repo.protection(name); ok {
		return nil, p.refusal()
	}
	if err := c.swap(name, now, bare.Hash{}); err != nil {
		return nil, err
	}
	return &response{status: http.StatusNoContent}, nil
}
