package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// The texts of merges.
const (
	notMergeableText = "Pull Request is not mergeable"
	headMovedText    = "Head branch was modified. Review and try the merge again."
	baseMovedText    = "Base branch was modified. Review and try the merge again."
	conflictText     = "Merge conflict: the pull request could not be merged."
	queueText        = "Changes must be made through the merge queue"
	closedText       = "Pull request is closed."
	draftText        = "Pull request is a draft."
)

// merging is how a pull request is merged.
type merging struct {
	Title, Message string // empty: GitHub's own
	SHA            string // that the head must have; empty for any
	Method         string // merge, squash or rebase
	By             string
}

// mergedTree returns the tree of the base with the pull request's changes. The error
// wraps bare.ErrConflict.
func (r *Repository) mergedTree(p *pull) (bare.Hash, error) {
	compared, err := r.git.Compare(p.baseHash, p.headHash)
	if err != nil {
		return bare.Hash{}, err
	}
	return r.git.MergeTrees(compared.MergeBase, p.baseHash, p.headHash, r.git)
}

// unmergeable is GitHub's text when the merge cannot be made now, and empty when it
// can. r.pulls.mu is held.
func (r *Repository) unmergeable(p *pull, m merging) (string, error) {
	if m.SHA != "" && m.SHA != p.headHash.String() {
		return headMovedText, nil
	}
	if text := r.unmetRule(p); text != "" {
		return text, nil
	}
	_, err := r.mergedTree(p)
	if errors.Is(err, bare.ErrConflict) {
		return conflictText, nil
	}
	return "", err
}

// merge puts the pull request on its base. r.pulls.mu is held.
func (r *Repository) merge(p *pull, m merging) error {
	tip, err := r.mergeCommit(p, m)
	if err != nil {
		return err
	}
	if err := r.swap("refs/heads/"+p.Base, p.baseHash, tip); err != nil {
		return err
	}
	p.Merged, p.MergeSHA, p.MergedBy = true, tip.String(), m.By
	r.closePull(p)
	if r.deletesBranches() {
		return r.swap("refs/heads/"+p.Head, p.headHash, bare.Hash{})
	}
	return nil
}

// mergeCommit makes the commit that the base is moved to.
func (r *Repository) mergeCommit(p *pull, m merging) (bare.Hash, error) {
	compared, err := r.git.Compare(p.baseHash, p.headHash)
	if err != nil {
		return bare.Hash{}, err
	}
	if m.Method == "rebase" {
		return r.rebase(p, compared, m)
	}
	tree, err := r.mergedTree(p)
	if err != nil {
		return bare.Hash{}, err
	}
	now := r.clock().UTC()
	commit := bare.Commit{
		Tree: tree, Parents: []bare.Hash{p.baseHash}, Author: signatureOf(m.By, now),
		Committer: bare.Signature{Name: "GitHub", Email: "noreply@github.com", When: now},
	}
	if m.Method == "squash" {
		commit.Author = signatureOf(p.User, now)
		commit.Message, err = r.squashMessage(p, compared, m)
	} else {
		commit.Parents = append(commit.Parents, p.headHash)
		title := orDefault(m.Title, fmt.Sprintf("Merge pull request #%d from %s/%s", p.Number, ownerOf(r.Name()), p.Head))
		commit.Message = title + "\n\n" + orDefault(m.Message, p.Title)
	}
	if err != nil {
		return bare.Hash{}, err
	}
	if commit.PGPSignature, err = r.keys.sign(commit.Payload(), now); err != nil {
		return bare.Hash{}, err
	}
	return r.git.Put(bare.KindCommit, commit.Encode())
}

// squashMessage is the commit's own for one commit, and the title with a list for
// several.
func (r *Repository) squashMessage(p *pull, compared bare.Comparison, m merging) (string, error) {
	title, body := fmt.Sprintf("%s (#%d)", p.Title, p.Number), ""
	for _, h := range slices.Backward(compared.Ahead) {
		c, err := r.git.Commit(h)
		if err != nil {
			return "", err
		}
		headline, rest, _ := strings.Cut(c.Message, "\n")
		if len(compared.Ahead) == 1 {
			title, body = fmt.Sprintf("%s (#%d)", headline, p.Number), strings.TrimSpace(rest)
			break
		}
		body += "* " + headline + "\n\n"
	}
	return strings.TrimRight(orDefault(m.Title, title)+"\n\n"+orDefault(m.Message, body), "\n"), nil
}

// rebase puts the commits one by one on the base. GitHub does not sign them.
func (r *Repository) rebase(p *pull, compared bare.Comparison, m merging) (bare.Hash, error) {
	tip, from := p.baseHash, compared.MergeBase
	for _, h := range slices.Backward(compared.Ahead) {
		c, err := r.git.Commit(h)
		if err != nil {
			return tip, err
		}
		tree, err := r.git.MergeTrees(from, tip, h, r.git)
		if err != nil {
			return tip, err
		}
		next := bare.Commit{
			Tree: tree, Parents: []bare.Hash{tip}, Author: c.Author, Committer: signatureOf(m.By, r.clock().UTC()), Message: c.Message,
		}
		if tip, err = r.git.Put(bare.KindCommit, next.Encode()); err != nil {
			return tip, err
		}
		from = h
	}
	return tip, nil
}

func (f fields) merging(c *call) (merging, error) {
	m := merging{By: c.caller.login()}
	for name, to := range map[string]*string{"commit_title": &m.Title, "commit_message": &m.Message, "sha": &m.SHA, "merge_method": &m.Method} {
		var err error
		if *to, err = f.textOr(name, ""); err != nil {
			return m, err
		}
	}
	m.Method = orDefault(m.Method, "merge")
	if !slices.Contains([]string{"merge", "squash", "rebase"}, m.Method) {
		return m, schemaError("%s is not a member of [\"merge\", \"squash\", \"rebase\"].", m.Method)
	}
	return m, nil
}

// MergePullRequest merges one as a person does who may go around every rule.
func (r *Repository) MergePullRequest(number int, method string) error {
	return r.changePull(number, func(p *pull) error {
		if p.State != pullOpen {
			return fmt.Errorf("%w: %s", ErrInvalid, closedText)
		}
		return r.merge(p, merging{Method: method, By: "hubot"})
	})
}

func mergePull(c *call, p *pull) (*response, error) {
	f := fields{}
	if len(c.body) > 0 {
		var err error
		if f, err = parseFields(c.body); err != nil {
			return nil, err
		}
	}
	m, err := f.merging(c)
	if err != nil {
		return nil, err
	}
	if p.State != pullOpen || p.Draft {
		return nil, refuse(http.StatusMethodNotAllowed, notMergeableText)
	}
	if rules, _ := c.repo.protection("refs/heads/" + p.Base); rules.Queue != nil {
		return nil, refuse(http.StatusMethodNotAllowed, "Repository rule violations found\n\n"+queueText+"\n\n")
	}
	text, err := c.repo.unmergeable(p, m)
	switch {
	case err != nil:
		return nil, err
	case text == headMovedText:
		return nil, refuse(http.StatusConflict, headMovedText)
	case text == conflictText:
		return nil, refuse(http.StatusMethodNotAllowed, notMergeableText)
	case text != "":
		return nil, &refusal{status: http.StatusMethodNotAllowed, message: text}
	}
	err = c.repo.merge(p, m)
	if errors.Is(err, bare.ErrRefChanged) || errors.Is(err, bare.ErrRefLocked) {
		return nil, refuse(http.StatusMethodNotAllowed, baseMovedText)
	}
	if err != nil {
		return nil, err
	}
	return &response{body: map[string]any{"sha": p.MergeSHA, "merged": true, "message": "Pull Request successfully merged"}}, nil
}
