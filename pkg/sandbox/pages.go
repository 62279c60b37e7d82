package sandbox

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// isCommitPage recognises /OWNER/NAME/commit/SHA, which is no path of the API.
func isCommitPage(path string) bool {
	parts := strings.Split(path, "/")
	return len(parts) == 5 && parts[1] != "repos" && parts[3] == "commit"
}

// Pages serves the page that a commit's html_url leads to, at
// /OWNER/NAME/commit/SHA, as a patch in plain text. Private repositories have
// no pages: there is nobody logged in.
func (s *Server) Pages() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		if r.Method != http.MethodGet && r.Method != http.MethodHead || len(parts) != 4 || parts[2] != "commit" {
			http.NotFound(w, r)
			return
		}
		repo, err := s.Repository(parts[0] + "/" + parts[1])
		if err != nil {
			http.NotFound(w, r)
			return
		}
		if private, _ := repo.visibility(); private {
			http.NotFound(w, r)
			return
		}
		patch, err := repo.Patch(strings.TrimSuffix(parts[3], ".patch"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write([]byte(patch))
	})
}

// maxPatchedFiles bounds the files a patch shows one by one.
const maxPatchedFiles = 300

// Patch returns a commit as text for people: its header and the changes
// against its first parent. The error is ErrNotFound for an unknown one.
func (r *Repository) Patch(revision string) (string, error) {
	h, err := r.resolve(revision)
	if err != nil {
		return "", err
	}
	c, err := r.git.Commit(h)
	if err != nil {
		return "", err
	}
	var parent bare.Hash
	if len(c.Parents) > 0 {
		parent = c.Parents[0]
	}
	changes, err := r.git.Diff(parent, h)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "commit %s\nAuthor: %s <%s>\nDate:   %s\n\n", h, c.Author.Name, c.Author.Email, c.Author.When.Format("Mon Jan 2 15:04:05 2006 -0700"))
	for line := range strings.SplitSeq(strings.TrimRight(c.Message, "\n"), "\n") {
		b.WriteString("    " + line + "\n")
	}
	for i, d := range changes {
		if i == maxPatchedFiles {
			fmt.Fprintf(&b, "\n… and %d files more\n", len(changes)-i)
			break
		}
		if err := r.patchFile(&b, d); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func (r *Repository) patchFile(b *strings.Builder, d bare.Difference) error {
	fmt.Fprintf(b, "\ndiff --git a/%s b/%s\n", d.Path, d.Path)
	if d.Old.Mode != d.New.Mode {
		fmt.Fprintf(b, "mode %s → %s\n", d.Old.Mode, d.New.Mode)
	}
	hunks, err := r.unified(d)
	if err != nil {
		return err
	}
	if hunks == "" {
		return nil
	}
	names := [2]string{"a/" + d.Path, "b/" + d.Path}
	for i, e := range []bare.Entry{d.Old, d.New} {
		if e.Hash.IsZero() {
			names[i] = "/dev/null"
		}
	}
	fmt.Fprintf(b, "--- %s\n+++ %s\n%s", names[0], names[1], hunks)
	return nil
}

// unified returns the hunks of a unified diff, without the two lines that name
// the files. Binary files and submodules have none.
func (r *Repository) unified(d bare.Difference) (string, error) {
	var texts [2]string
	for i, e := range []bare.Entry{d.Old, d.New} {
		if e.Hash.IsZero() || e.Mode.Kind() != bare.KindBlob {
			continue
		}
		content, err := r.git.GetKind(e.Hash, bare.KindBlob)
		if err != nil {
			return "", err
		}
		texts[i] = string(content)
	}
	if strings.ContainsRune(texts[0]+texts[1], 0) {
		return "", nil
	}
	diff := udiff.Unified("a", "b", texts[0], texts[1])
	if at := strings.Index(diff, "@@"); at >= 0 {
		return diff[at:], nil
	}
	return "", nil
}
