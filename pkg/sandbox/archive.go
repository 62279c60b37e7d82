package sandbox

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// archivesPrefix is where archives are handed out when the server has no
// other address for them.
const archivesPrefix = "/_archives/"

// Download is one request for an archive's address.
type Download struct {
	Time   time.Time `json:"time"`
	Path   string    `json:"path"`
	Status int       `json:"status"`
	// Authorization reports that the request carried a credential, which is refused: the
	// signed address suffices, and a credential must not reach another host.
	Authorization bool  `json:"authorization"`
	Bytes         int64 `json:"bytes"`
}

// archiveLinks are the addresses that may be used now. It is safe for
// concurrent use.
type archiveLinks struct {
	mu      sync.Mutex
	byToken map[string]archiveLink
}

type archiveLink struct {
	repo    *Repository
	commit  bare.Hash
	expires time.Time
}

func (l *archiveLinks) add(token string, link archiveLink, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byToken == nil {
		l.byToken = map[string]archiveLink{}
	}
	for t, old := range l.byToken {
		if now.After(old.expires) {
			delete(l.byToken, t)
		}
	}
	l.byToken[token] = link
}

func (l *archiveLinks) get(token string) (archiveLink, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	link, ok := l.byToken[token]
	return link, ok
}

// getTarball answers with a short-lived address on the archives' host.
func getTarball(c *call) (*response, error) {
	if c.set.NoTarball {
		return nil, notFound()
	}
	name := c.r.PathValue("ref")
	if name == "" {
		name = c.repo.defaultBranch()
	}
	commit, err := c.readRevision(name)
	if err != nil {
		return nil, err
	}
	b, err := c.randomBytes(20)
	if err != nil {
		return nil, err
	}
	token := hex.EncodeToString(b)
	c.links.add(token, archiveLink{c.repo, commit, c.start.Add(time.Duration(c.set.LinkLifetime))}, c.start)
	return &response{
		status:   http.StatusFound,
		location: c.bases().archives + "/" + escapePath([]string{c.repo.Name(), "legacy.tar.gz", name}) + "?token=" + token,
	}, nil
}

// Archives serves the addresses that tarball requests lead to. Give it a host
// and port of its own, as GitHub does, and tell the server by SetURLs.
func (s *Server) Archives() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := Download{Time: s.clock(), Path: r.URL.Path, Authorization: r.Header.Get("Authorization") != ""}
		counted := &countingWriter{ResponseWriter: w, status: http.StatusOK}
		s.serveArchive(counted, r, d)
		d.Status, d.Bytes = counted.status, counted.written
		s.log.mu.Lock()
		defer s.log.mu.Unlock()
		s.log.downloads = append(s.log.downloads, d)
	})
}

type countingWriter struct {
	http.ResponseWriter
	status  int
	written int64
}

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.written += int64(n)
	return n, err
}

func (s *Server) serveArchive(w http.ResponseWriter, r *http.Request, d Download) {
	link, ok := s.links.get(r.URL.Query().Get("token"))
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "405: Method Not Allowed", http.StatusMethodNotAllowed)
	case d.Authorization:
		http.Error(w, "400: the address is authorised already, and this is not the host of your credential", http.StatusBadRequest)
	case !ok || d.Time.After(link.expires):
		http.Error(w, "404: Not Found", http.StatusNotFound)
	default:
		if err := s.sendArchive(w, link); err != nil {
			s.logger.Warn("archive ended early", "repository", link.repo.Name(), "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

func (s *Server) sendArchive(w http.ResponseWriter, link archiveLink) error {
	folder := strings.ReplaceAll(link.repo.Name(), "/", "-") + "-" + link.commit.String()[:7]
	h := w.Header()
	h.Set("Content-Type", "application/x-gzip")
	h.Set("Content-Disposition", "attachment; filename="+folder+".tar.gz")
	h.Set("ETag", `W/"`+link.commit.String()+`"`)
	compressed, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := writeArchive(compressed, link.repo.git, link.commit, folder); err != nil {
		return err
	}
	return compressed.Close()
}

// The modes that `git archive` gives with GitHub's umask.
const (
	archiveFile       = 0o664
	archiveExecutable = 0o775
	archiveSymlink    = 0o777
)

// archiver writes what `git archive` does: a comment with the commit, folders
// before what they hold, times of the commit, and the attributes
// export-ignore and export-subst obeyed.
type archiver struct {
	tar    *tar.Writer
	git    *bare.Repository
	hash   bare.Hash
	commit bare.Commit
	when   time.Time
}

func writeArchive(w io.Writer, git *bare.Repository, commit bare.Hash, folder string) error {
	c, err := git.Commit(commit)
	if err != nil {
		return err
	}
	a := &archiver{tar: tar.NewWriter(w), git: git, hash: commit, commit: c, when: c.Committer.When}
	err = a.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header",
		PAXRecords: map[string]string{"comment": commit.String()},
	})
	if err != nil {
		return err
	}
	if err := a.folder(folder + "/"); err != nil {
		return err
	}
	if err := a.tree(c.Tree, folder+"/", "", nil); err != nil {
		return err
	}
	return a.tar.Close()
}

func (a *archiver) folder(name string) error {
	return a.header(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: archiveExecutable})
}

func (a *archiver) header(h *tar.Header) error {
	h.ModTime, h.Uname, h.Gname, h.Format = a.when, "root", "root", tar.FormatPAX
	if len(h.Name) <= 100 && isASCII(h.Name) {
		h.Format = tar.FormatUnknown // plain ustar where it can be
	}
	return a.tar.WriteHeader(h)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}

func (a *archiver) tree(tree bare.Hash, prefix, path string, rules attributeRules) error {
	entries, err := a.git.Tree(tree)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name == ".gitattributes" && e.Mode.Kind() == bare.KindBlob {
			if rules, err = a.readRules(e.Hash, path, rules); err != nil {
				return err
			}
		}
	}
	for _, e := range entries {
		below := path + e.Name
		if rules.has(below, "export-ignore") {
			continue
		}
		switch e.Mode.Kind() {
		case bare.KindTree:
			if err = a.folder(prefix + below + "/"); err == nil {
				err = a.tree(e.Hash, prefix, below+"/", rules)
			}
		case bare.KindCommit:
			err = a.folder(prefix + below + "/")
		default:
			err = a.file(e, prefix+below, rules.has(below, "export-subst"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *archiver) readRules(h bare.Hash, path string, rules attributeRules) (attributeRules, error) {
	content, err := a.git.GetKind(h, bare.KindBlob)
	if err != nil {
		return nil, err
	}
	return rules.with(content, path), nil
}

func (a *archiver) file(e bare.Entry, name string, substitute bool) error {
	content, err := a.git.GetKind(e.Hash, bare.KindBlob)
	if err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	if e.Mode == bare.ModeSymlink {
		return a.header(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: string(content), Mode: archiveSymlink})
	}
	if substitute {
		content = expandFormats(content, a.hash, a.commit)
	}
	mode := int64(archiveFile)
	if e.Mode == bare.ModeExecutable {
		mode = archiveExecutable
	}
	if err := a.header(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: mode}); err != nil {
		return err
	}
	_, err = io.Copy(a.tar, bytes.NewReader(content))
	return err
}
