package sandbox

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Access is what a permission allows.
type Access string

// The levels of access; each includes the one before.
const (
	None  Access = ""
	Read  Access = "read"
	Write Access = "write"
	Admin Access = "admin"
)

func (a Access) includes(b Access) bool { return a.level() >= b.level() }

func (a Access) level() int {
	return slices.Index([]Access{None, Read, Write, Admin}, a)
}

// Permissions are what a credential may do, by GitHub's names: contents,
// metadata, workflows, pull_requests. nil means everything. metadata may
// always be read.
type Permissions map[string]Access

func (p Permissions) allow(n need) bool {
	return p == nil || n.permission == "" || n.permission == "metadata" && n.access == Read || p[n.permission].includes(n.access)
}

// TokenKind selects the messages and rules that apply to a token.
type TokenKind string

// The kinds of tokens.
const (
	KindFineGrained  TokenKind = "fine-grained" // a fine-grained personal access token; the default
	KindClassic      TokenKind = "classic"      // a classic one: a missing scope is a 404
	KindInstallation TokenKind = "installation" // of an App's installation
)

// Token is a credential. The zero value is a fine-grained token of octocat
// that may do everything everywhere and never expires.
type Token struct {
	// Name stands for the token in the request log; empty means token-N.
	Name string `json:"name,omitempty"`
	// Login is the user behind the token, who shares one rate limit among all
	// tokens and authors the commits.
	Login string    `json:"login,omitempty"`
	Kind  TokenKind `json:"kind,omitempty"`
	// Permissions; nil means everything.
	Permissions Permissions `json:"permissions,omitempty"`
	// Repositories are the ones the token reaches, as owner/name; nil means
	// all. It bounds writes and private repositories; public ones may be read.
	Repositories []string `json:"repositories,omitempty"`
	// Expires; zero means never.
	Expires time.Time `json:"expires,omitzero"`
	// SSO, when not empty, is the address at which an organisation wants the
	// token to be authorised first.
	SSO string `json:"sso,omitempty"`

	installation *installation
	knownFrom    time.Time // until then it is not known everywhere
}

func (t *Token) kind() TokenKind {
	if t.Kind == "" {
		return KindFineGrained
	}
	return t.Kind
}

func (t *Token) reaches(repo *Repository) bool {
	if t.installation != nil && !t.installation.reaches(repo) {
		return false
	}
	return t.Repositories == nil || slices.ContainsFunc(t.Repositories, func(name string) bool {
		return strings.EqualFold(name, repo.Name())
	})
}

// tokenStore is safe for concurrent use.
type tokenStore struct {
	mu       sync.RWMutex
	bySecret map[string]*Token
	apps     map[int64]*App
	installs map[int64]*installation
}

func (s *tokenStore) add(secret string, t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bySecret == nil {
		s.bySecret = map[string]*Token{}
	}
	if t.Name == "" {
		t.Name = fmt.Sprintf("token-%d", len(s.bySecret))
	}
	if t.Login == "" {
		t.Login = "octocat"
	}
	s.bySecret[secret] = &t
}

// rename follows a repository that has another name now. What is shared with
// requests on their way is replaced, not changed.
func (s *tokenStore) rename(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	renamed := func(names []string) []string {
		names = slices.Clone(names)
		for i, name := range names {
			if strings.EqualFold(name, from) {
				names[i] = to
			}
		}
		return names
	}
	for id, old := range s.installs {
		i := *old
		i.Repositories = renamed(i.Repositories)
		s.installs[id] = &i
	}
	for secret, old := range s.bySecret {
		t := *old
		t.Repositories = renamed(t.Repositories)
		if t.installation != nil {
			t.installation = s.installs[t.installation.ID]
		}
		s.bySecret[secret] = &t
	}
}

// AddToken makes a secret known, or replaces what it stands for.
func (s *Server) AddToken(secret string, t Token) { s.tokens.add(secret, t) }

// RemoveToken makes a secret unknown: it answers 401 from then on.
func (s *Server) RemoveToken(secret string) {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	delete(s.tokens.bySecret, secret)
}

// caller is who sends a request: nobody, a token or an App by its JWT.
type caller struct {
	token *Token
	app   *App
	err   *refusal // the credential is no good
}

// name is for the log.
func (c caller) name() string {
	switch {
	case c.token != nil:
		return c.token.Name
	case c.app != nil:
		return "app:" + c.app.Slug
	}
	return ""
}

// login is the account behind the credential.
func (c caller) login() string {
	if c.token == nil {
		return ""
	}
	return c.token.Login
}

// key identifies the credential.
func (c caller) key() string { return c.name() }

func (c caller) sees(repo *Repository) bool {
	private, _ := repo.visibility()
	return !private || c.token != nil && c.token.reaches(repo) || c.app != nil
}

func badCredentials() *refusal {
	return &refusal{status: http.StatusUnauthorized, message: "Bad credentials", doc: docsRoot}
}

func requiresAuthentication() *refusal {
	return &refusal{status: http.StatusUnauthorized, message: "Requires authentication", doc: docsRoot}
}

// identify reads the credential: `Bearer` or `token`, or the password of
// basic authentication.
func (c *call) identify() caller {
	header := c.r.Header.Get("Authorization")
	if header == "" {
		return caller{}
	}
	scheme, secret, _ := strings.Cut(header, " ")
	secret = strings.TrimSpace(secret)
	switch strings.ToLower(scheme) {
	case "bearer", "token":
	case "basic":
		plain, err := base64.StdEncoding.DecodeString(secret)
		if err != nil {
			return caller{err: badCredentials()}
		}
		_, secret, _ = strings.Cut(string(plain), ":")
	default:
		return caller{err: badCredentials()}
	}
	c.tokens.mu.RLock()
	token := c.tokens.bySecret[secret]
	c.tokens.mu.RUnlock()
	switch {
	case token != nil && (c.start.Before(token.knownFrom) || !token.Expires.IsZero() && !c.start.Before(token.Expires)):
		return caller{err: badCredentials()}
	case token != nil:
		return caller{token: token}
	case strings.HasPrefix(secret, "eyJ") && strings.Count(secret, ".") == 2:
		return c.identifyApp(secret)
	}
	return caller{err: badCredentials()}
}

// authorize decides whether the caller may do this to the repository.
func (c *call) authorize() error {
	if c.route.app {
		if c.caller.app == nil {
			return &refusal{status: http.StatusUnauthorized, message: "A JSON web token could not be decoded", doc: docsRoot}
		}
		return nil
	}
	if c.caller.app != nil {
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	if c.repo == nil {
		return nil
	}
	if !c.caller.sees(c.repo) {
		if c.writes() && c.caller.token == nil {
			return requiresAuthentication()
		}
		return notFound()
	}
	token := c.caller.token
	if token == nil {
		if c.writes() {
			return requiresAuthentication()
		}
		return nil
	}
	if token.SSO != "" {
		return &refusal{
			status:  http.StatusForbidden,
			message: "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization.",
			header:  map[string]string{"X-GitHub-SSO": "required; url=" + token.SSO},
		}
	}
	return c.authorizeToken(token)
}

func (c *call) authorizeToken(token *Token) error {
	private, archived := c.repo.visibility()
	public := !private && !c.writes()
	if !public && (!token.Permissions.allow(c.route.need) || !token.reaches(c.repo)) {
		return missingPermission(token.kind(), c.route.need)
	}
	if archived && c.writes() {
		return refuse(http.StatusForbidden, "Repository was archived so is read-only.")
	}
	return nil
}

func missingPermission(kind TokenKind, n need) *refusal {
	header := map[string]string{"X-Accepted-GitHub-Permissions": n.String()}
	switch kind {
	case KindClassic:
		return notFound()
	case KindInstallation:
		return &refusal{status: http.StatusForbidden, message: "Resource not accessible by integration", header: header}
	default:
		return &refusal{status: http.StatusForbidden, message: "Resource not accessible by personal access token", header: header}
	}
}

// may reports whether the caller's token has a permission beyond the route's.
func (c *call) may(permission string, access Access) bool {
	return c.caller.token != nil && c.caller.token.Permissions.allow(need{permission, access})
}
