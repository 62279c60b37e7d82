package sandbox

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

type personJSON struct {
	Name  string `json:"name"`
	Email string `json:"email"`
	Date  string `json:"date"`
}

type shaJSON struct {
	SHA     string `json:"sha"`
	URL     string `json:"url"`
	HTMLURL string `json:"html_url,omitempty"`
}

type commitJSON struct {
	SHA          string           `json:"sha"`
	NodeID       string           `json:"node_id"`
	URL          string           `json:"url"`
	HTMLURL      string           `json:"html_url"`
	Author       personJSON       `json:"author"`
	Committer    personJSON       `json:"committer"`
	Tree         shaJSON          `json:"tree"`
	Message      string           `json:"message"`
	Parents      []shaJSON        `json:"parents"`
	Verification verificationJSON `json:"verification"`
}

// dateFormat is how every date is answered: in UTC, whatever offset the
// commit keeps.
const dateFormat = "2006-01-02T15:04:05Z"

func toPerson(s bare.Signature) personJSON {
	return personJSON{s.Name, s.Email, s.When.UTC().Format(dateFormat)}
}

func (c *call) commitJSON(h bare.Hash, commit bare.Commit) commitJSON {
	sha := h.String()
	body := commitJSON{
		SHA: sha, NodeID: nodeID("C", c.repo.id, sha),
		URL: c.repoURL("git/commits", sha), HTMLURL: c.pageURL("commit", sha),
		Author: toPerson(commit.Author), Committer: toPerson(commit.Committer),
		Tree:         shaJSON{SHA: commit.Tree.String(), URL: c.repoURL("git/trees", commit.Tree.String())},
		Message:      commit.Message,
		Parents:      []shaJSON{},
		Verification: c.keys.verify(commit),
	}
	for _, p := range commit.Parents {
		body.Parents = append(body.Parents, shaJSON{p.String(), c.repoURL("git/commits", p.String()), c.pageURL("commit", p.String())})
	}
	return body
}

// nodeID has the look of GitHub's and is stable for the same thing.
func nodeID(kind string, repo int64, name string) string {
	return kind + "_" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d:%s", repo, name))
}

func getCommit(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	h, ok := bare.ParseHash(c.r.PathValue("commit_sha"))
	if !ok {
		return nil, notFound()
	}
	commit, err := c.repo.git.Commit(h)
	if errors.Is(err, bare.ErrWrongKind) {
		return nil, notFound()
	}
	if err != nil {
		return nil, err
	}
	return &response{body: c.commitJSON(h, commit)}, nil
}

func createCommit(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	commit, err := c.newCommit(f)
	if err != nil {
		return nil, err
	}
	h, err := c.repo.git.Put(bare.KindCommit, commit.Encode())
	if err != nil {
		return nil, err
	}
	body := c.commitJSON(h, commit)
	return &response{status: http.StatusCreated, body: body, location: body.URL}, nil
}

func (c *call) newCommit(f fields) (bare.Commit, error) {
	var commit bare.Commit
	message, err1 := f.text("message")
	tree, err2 := f.text("tree")
	signature, err3 := f.textOr("signature", "")
	if err := errors.Join(err1, err2, err3); err != nil {
		return commit, err
	}
	commit.Message, commit.PGPSignature = message, signature
	var err error
	if commit.Tree, err = hashField("tree", tree); err != nil {
		return commit, err
	}
	if kind, _, err := c.repo.git.Stat(commit.Tree); err != nil || kind != bare.KindTree {
		return commit, invalid("Tree SHA does not exist")
	}
	if commit.Parents, err = c.parents(f); err != nil {
		return commit, err
	}
	given, err := c.people(f, &commit)
	if err != nil {
		return commit, err
	}
	if t := c.caller.token; !given && signature == "" && t.installation != nil {
		commit.PGPSignature, err = c.keys.sign(commit.Payload(), c.start)
	}
	return commit, err
}

func (c *call) parents(f fields) ([]bare.Hash, error) {
	if _, ok := f["parents"]; !ok {
		return nil, nil
	}
	list, err := f.list("parents")
	if err != nil {
		return nil, err
	}
	parents := make([]bare.Hash, 0, len(list))
	for _, v := range list {
		sha, ok := v.(string)
		if !ok {
			return nil, schemaError("For 'items', %s is not a string.", inspect(v))
		}
		h, err := hashField("parents", sha)
		if err != nil {
			return nil, err
		}
		if kind, _, err := c.repo.git.Stat(h); err != nil || kind != bare.KindCommit {
			return nil, invalid("Parent SHA does not exist or is not a commit object")
		}
		parents = append(parents, h)
	}
	return parents, nil
}

// people fills author and committer: the author is the token's user unless
// one is given, the committer is the author unless one is given.
func (c *call) people(f fields, commit *bare.Commit) (given bool, err error) {
	self := c.identity()
	author, hasAuthor, err := c.person(f, "author", self)
	if err != nil {
		return false, err
	}
	committer, hasCommitter, err := c.person(f, "committer", author)
	commit.Author, commit.Committer = author, committer
	return hasAuthor || hasCommitter, err
}

func (c *call) identity() bare.Signature {
	return signatureOf(c.caller.token.Login, c.start.UTC())
}

func signatureOf(login string, at time.Time) bare.Signature {
	return bare.Signature{
		Name:  login,
		Email: fmt.Sprintf("%d+%s@users.noreply.github.com", userID(login), login),
		When:  at.Truncate(time.Second),
	}
}

func (c *call) person(f fields, role string, otherwise bare.Signature) (s bare.Signature, given bool, err error) {
	o, given, err := f.object(role)
	if err != nil || !given {
		return otherwise, false, err
	}
	s = bare.Signature{When: c.start.UTC().Truncate(time.Second)}
	for name, to := range map[string]*string{"name": &s.Name, "email": &s.Email} {
		if *to, err = o.textOr(name, ""); err != nil {
			return s, true, err
		}
	}
	for _, field := range []struct{ name, value string }{{"name", s.Name}, {"email", s.Email}} {
		if field.value == "" {
			r := invalid("Validation Failed")
			r.errors = []fieldError{{Resource: role, Code: "missing_field", Field: field.name}}
			return s, true, r
		}
	}
	date, err := o.textOr("date", "")
	if err != nil || date == "" {
		return s, true, err
	}
	if s.When, err = time.Parse(time.RFC3339, date); err != nil {
		return s, true, schemaError("%q is not a valid date-time.", date)
	}
	if s.When.Unix() < 0 {
		s.When = time.Unix(0, 0).UTC()
	}
	return s, true, nil
}
