package sandbox

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// Errors of the Go side.
var (
	// ErrExists: the repository, token or app is there already.
	ErrExists = errors.New("exists already")
	// ErrNotFound: no such repository, branch, file or commit.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: a name or value that GitHub would not have.
	ErrInvalid = errors.New("invalid")
)

// Options configure a Server. Only Dir is required.
type Options struct {
	// Dir is the folder that holds the repositories, as DIR/owner/name.git.
	// It is made when it is not there.
	Dir string
	// APIURL, PagesURL and ArchivesURL are the bases of the URLs in answers:
	// of the API itself, of pages for people (html_url) and of archive
	// downloads. Empty means the address the request came to.
	APIURL, PagesURL, ArchivesURL string
	// Clock gives the time of commits, tokens and limits; nil means time.Now.
	Clock func() time.Time
	// Random makes tokens; nil means crypto/rand.
	Random io.Reader
	// Seed makes the faults that have a probability repeatable.
	Seed uint64
	// Logger gets a line per request at debug; nil discards.
	Logger *slog.Logger
}

// Server is the embedded GitHub: an http.Handler that serves the REST API at
// its root. It is safe for concurrent use.
type Server struct {
	dir      string
	clock    func() time.Time
	random   io.Reader
	randomMu sync.Mutex
	logger   *slog.Logger
	api      *http.ServeMux
	control  *http.ServeMux

	log    requestLog
	faults faultList
	limits limiter
	tokens tokenStore
	links  archiveLinks
	keys   signingKeys

	mu       sync.RWMutex
	urls     urlBases
	settings Settings
	repos    map[string]*Repository // by lower-case owner/name
	byID     map[int64]*Repository
	renamed  map[string]int64 // old lower-case owner/name → id
}

type urlBases struct{ api, pages, archives string }

// New returns a server without repositories, with one token, `sandbox`, that
// may do everything.
func New(o Options) (*Server, error) {
	if o.Dir == "" {
		return nil, fmt.Errorf("sandbox: %w: no folder for the repositories", ErrInvalid)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s := &Server{
		dir:      dir,
		clock:    o.Clock,
		random:   o.Random,
		logger:   o.Logger,
		urls:     urlBases{trim(o.APIURL), trim(o.PagesURL), trim(o.ArchivesURL)},
		settings: DefaultSettings(),
		repos:    map[string]*Repository{},
		byID:     map[int64]*Repository{},
		renamed:  map[string]int64{},
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	s.faults.seed(o.Seed)
	s.tokens.add("sandbox", Token{Name: "sandbox", Login: "octocat"})
	s.api = s.routes()
	s.control = s.controlRoutes()
	return s, nil
}

// Close releases files that are held open. The repositories stay on disk.
func (s *Server) Close() error {
	var errs []error
	for _, r := range s.Repositories() {
		errs = append(errs, r.git.Close())
	}
	return errors.Join(errs...)
}

// SetURLs replaces the bases of the URLs in answers, for servers that learn
// their address only after they listen. An empty one stays as it was.
func (s *Server) SetURLs(api, pages, archives string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range []struct {
		to   *string
		from string
	}{{&s.urls.api, api}, {&s.urls.pages, pages}, {&s.urls.archives, archives}} {
		if u.from != "" {
			*u.to = trim(u.from)
		}
	}
}

func trim(url string) string { return strings.TrimSuffix(url, "/") }

// ServeHTTP answers as api.github.com does, also below /api/v3/ as an
// Enterprise Server; as github.com for /OWNER/NAME/commit/SHA; and below
// /_sandbox/ takes orders (see the package's documentation).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, controlPrefix):
		s.control.ServeHTTP(w, r)
	case strings.HasPrefix(path, archivesPrefix):
		http.StripPrefix(strings.TrimSuffix(archivesPrefix, "/"), s.Archives()).ServeHTTP(w, r)
	case isCommitPage(path):
		s.Pages().ServeHTTP(w, r)
	default:
		s.api.ServeHTTP(w, s.resolvePath(r))
	}
}

// Repositories returns all repositories, the oldest first.
func (s *Server) Repositories() []*Repository {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*Repository, 0, len(s.byID))
	for _, r := range s.byID {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Repository) int { return cmp.Compare(a.id, b.id) })
	return all
}

// Repository returns a repository by its present name, case aside, or
// ErrNotFound.
func (s *Server) Repository(fullName string) (*Repository, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r, ok := s.repos[strings.ToLower(fullName)]; ok {
		return r, nil
	}
	return nil, fmt.Errorf("repository %s: %w", fullName, ErrNotFound)
}

// RepositoryOptions describe a new repository. The zero value is a public one
// with a branch main that holds a README.
type RepositoryOptions struct {
	Branch  string // the default branch; empty means main
	Private bool
	Empty   bool // without any commit
}

// CreateRepository makes owner/name with one commit, or none when it is to be
// empty. The error wraps ErrExists or ErrInvalid.
func (s *Server) CreateRepository(fullName string, o RepositoryOptions) (*Repository, error) {
	owner, name, ok := strings.Cut(fullName, "/")
	if !ok || !validName(owner) || !validName(name) {
		return nil, fmt.Errorf("create repository %q: %w name", fullName, ErrInvalid)
	}
	if o.Branch == "" {
		o.Branch = "main"
	}
	if err := bare.CheckRefName("refs/heads/" + o.Branch); err != nil {
		return nil, fmt.Errorf("create repository %s: %w", fullName, err)
	}
	repo, err := s.register(fullName, o, func() (*bare.Repository, error) {
		return bare.Init(s.folder(fullName), o.Branch)
	})
	if err != nil || o.Empty {
		return repo, err
	}
	files := Files{"README.md": {Content: []byte("# " + name + "\n")}}
	if _, err := repo.Commit(o.Branch, files, "Initial commit"); err != nil {
		return nil, err
	}
	return repo, nil
}

// OpenRepository serves a bare repository that lies in the server's folder
// already, such as one that an earlier server made. Empty is not looked at, and
// the branch is that of its HEAD. The error wraps ErrExists or ErrInvalid.
func (s *Server) OpenRepository(fullName string, o RepositoryOptions) (*Repository, error) {
	owner, name, ok := strings.Cut(fullName, "/")
	if !ok || !validName(owner) || !validName(name) {
		return nil, fmt.Errorf("open repository %q: %w name", fullName, ErrInvalid)
	}
	git, err := bare.Open(s.folder(fullName))
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w: %w", fullName, ErrInvalid, err)
	}
	if o.Branch, err = git.HeadBranch(); err != nil {
		return nil, fmt.Errorf("open repository %s: %w: %w", fullName, ErrInvalid, err)
	}
	return s.register(fullName, o, func() (*bare.Repository, error) { return git, nil })
}

func (s *Server) folder(fullName string) string {
	return filepath.Join(s.dir, filepath.FromSlash(fullName)+".git")
}

// firstRepositoryID is where ids begin: any number, and not a small one that
// could be mistaken for an index.
const firstRepositoryID = 815_000_000

func (s *Server) register(fullName string, o RepositoryOptions, open func() (*bare.Repository, error)) (*Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.ToLower(fullName)
	if _, ok := s.repos[key]; ok {
		return nil, fmt.Errorf("repository %s: %w", fullName, ErrExists)
	}
	git, err := open()
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", fullName, err)
	}
	repo := &Repository{
		id: firstRepositoryID + int64(len(s.byID)), name: fullName, branch: o.Branch,
		private: o.Private, clock: s.clock, keys: &s.keys, git: git, created: s.clock(),
		rules: map[string]Protection{}, writes: map[string]*refWrite{},
	}
	s.repos[key], s.byID[repo.id] = repo, repo
	delete(s.renamed, key)
	return repo, nil
}

// Rename gives a repository another name. From then on the old one redirects,
// as it does on GitHub. The folder keeps its place.
func (s *Server) Rename(from, to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldKey, newKey := strings.ToLower(from), strings.ToLower(to)
	repo, ok := s.repos[oldKey]
	if !ok {
		return fmt.Errorf("rename %s: %w", from, ErrNotFound)
	}
	if _, ok := s.repos[newKey]; ok {
		return fmt.Errorf("rename %s to %s: %w", from, to, ErrExists)
	}
	owner, name, ok := strings.Cut(to, "/")
	if !ok || !validName(owner) || !validName(name) {
		return fmt.Errorf("rename %s to %q: %w name", from, to, ErrInvalid)
	}
	delete(s.repos, oldKey)
	delete(s.renamed, newKey)
	s.repos[newKey], s.renamed[oldKey] = repo, repo.id
	repo.setName(to)
	s.tokens.rename(from, to)
	return nil
}

// Reset forgets the request log, the faults, the settings and what the
// limiter has counted. Repositories, tokens and apps stay.
func (s *Server) Reset() {
	s.ResetRequests()
	s.faults.clear()
	s.limits.clear()
	s.Configure(func(set *Settings) { *set = DefaultSettings() })
}

func validName(s string) bool {
	if s == "" || len(s) > 100 || s == "." || s == ".." {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}
