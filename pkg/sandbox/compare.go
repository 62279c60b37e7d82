package sandbox

import (
	"errors"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

type compareJSON struct {
	URL             string             `json:"url"`
	HTMLURL         string             `json:"html_url"`
	PermalinkURL    string             `json:"permalink_url"`
	DiffURL         string             `json:"diff_url"`
	PatchURL        string             `json:"patch_url"`
	BaseCommit      branchCommitJSON   `json:"base_commit"`
	MergeBaseCommit branchCommitJSON   `json:"merge_base_commit"`
	Status          string             `json:"status"`
	AheadBy         int                `json:"ahead_by"`
	BehindBy        int                `json:"behind_by"`
	TotalCommits    int                `json:"total_commits"`
	Commits         []branchCommitJSON `json:"commits"`
	Files           []comparedFileJSON `json:"files"`
}

type comparedFileJSON struct {
	SHA         string `json:"sha"`
	Filename    string `json:"filename"`
	Status      string `json:"status"`
	Additions   int    `json:"additions"`
	Deletions   int    `json:"deletions"`
	Changes     int    `json:"changes"`
	BlobURL     string `json:"blob_url"`
	RawURL      string `json:"raw_url"`
	ContentsURL string `json:"contents_url"`
	Patch       string `json:"patch,omitempty"`
}

// The most that one page of a comparison shows.
const (
	maxComparedCommits = 250
	maxComparedFiles   = 300
)

func compare(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	baseName, headName, ok := strings.Cut(c.r.PathValue("basehead"), "...")
	if !ok {
		return nil, notFound()
	}
	base, err1 := c.readRevision(baseName)
	head, err2 := c.readRevision(headName)
	if err := errors.Join(err1, err2); err != nil {
		return nil, notFound()
	}
	found, err := c.repo.git.Compare(base, head)
	if err != nil {
		return nil, err
	}
	if found.MergeBase.IsZero() {
		return nil, refuse(404, "No common ancestor between %s and %s.", baseName, headName)
	}
	page := c.pageURL("compare", baseName+"..."+headName)
	body := compareJSON{
		URL: c.repoURL("compare", baseName+"..."+headName), HTMLURL: page, DiffURL: page + ".diff", PatchURL: page + ".patch",
		PermalinkURL: c.pageURL("compare", base.String()+"..."+head.String()),
		Status:       status(found), AheadBy: len(found.Ahead), BehindBy: len(found.Behind), TotalCommits: len(found.Ahead),
		Commits: []branchCommitJSON{}, Files: []comparedFileJSON{},
	}
	for i := len(found.Ahead) - 1; i >= 0 && len(body.Commits) < maxComparedCommits; i-- {
		one, err := c.branchCommitJSON(found.Ahead[i])
		if err != nil {
			return nil, err
		}
		body.Commits = append(body.Commits, one)
	}
	body.BaseCommit, err1 = c.branchCommitJSON(base)
	body.MergeBaseCommit, err2 = c.branchCommitJSON(found.MergeBase)
	if err := errors.Join(err1, err2, c.compareFiles(found.MergeBase, head, &body)); err != nil {
		return nil, err
	}
	return &response{body: body}, nil
}

func status(found bare.Comparison) string {
	switch {
	case len(found.Ahead) > 0 && len(found.Behind) > 0:
		return "diverged"
	case len(found.Ahead) > 0:
		return "ahead"
	case len(found.Behind) > 0:
		return "behind"
	}
	return "identical"
}

func (c *call) compareFiles(from, to bare.Hash, body *compareJSON) error {
	changes, err := c.repo.git.Diff(from, to)
	if err != nil {
		return err
	}
	for _, d := range changes[:min(len(changes), maxComparedFiles)] {
		patch, err := c.repo.unified(d)
		if err != nil {
			return err
		}
		file := comparedFileJSON{
			Filename: d.Path, Status: "modified", SHA: d.New.Hash.String(), Patch: patch,
			BlobURL: c.pageURL("blob", to.String(), d.Path), RawURL: c.pageURL("raw", to.String(), d.Path),
			ContentsURL: c.repoURL("contents", d.Path) + "?ref=" + to.String(),
		}
		switch {
		case d.Old.Hash.IsZero():
			file.Status = "added"
		case d.New.Hash.IsZero():
			file.Status, file.SHA = "removed", d.Old.Hash.String()
		}
		file.Additions, file.Deletions = countLines(patch)
		file.Changes = file.Additions + file.Deletions
		body.Files = append(body.Files, file)
	}
	return nil
}

// countLines counts the lines that a patch's hunks add and take away.
func countLines(patch string) (added, removed int) {
	for line := range strings.Lines(patch) {
		switch line[0] {
		case '+':
			added++
		case '-':
			removed++
		}
	}
	return added, removed
}
