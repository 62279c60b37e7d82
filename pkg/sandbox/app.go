package sandbox

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// App is a GitHub App.
type App struct {
	ID       int64
	ClientID string // may stand in a JWT in place of the ID
	Slug     string
	Key      *rsa.PublicKey
}

// Installation is an App on an account.
type Installation struct {
	ID      int64
	Account string // the owner whose repositories it may reach
	// Repositories are the ones it reaches, as owner/name; nil means all of
	// the account.
	Repositories []string
	Permissions  Permissions // nil means contents and metadata
}

type installation struct {
	Installation
	app       *App
	suspended bool
}

// tokenLifetime is how long an installation token lives; jwtLifetime is how
// far ahead an App's own JWT may expire, and jwtSkew how far its clock may be
// ahead of ours.
const (
	tokenLifetime = time.Hour
	jwtLifetime   = 10 * time.Minute
	jwtSkew       = time.Minute
)

// AddApp makes an App known. The error wraps ErrInvalid or ErrExists.
func (s *Server) AddApp(a App) error {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	if a.ID <= 0 || a.Key == nil {
		return fmt.Errorf("add app: %w: it needs an ID and a key", ErrInvalid)
	}
	if s.tokens.apps[a.ID] != nil {
		return fmt.Errorf("add app %d: %w", a.ID, ErrExists)
	}
	if a.Slug == "" {
		a.Slug = fmt.Sprintf("app-%d", a.ID)
	}
	if s.tokens.apps == nil {
		s.tokens.apps = map[int64]*App{}
	}
	s.tokens.apps[a.ID] = &a
	return nil
}

// Install puts an App on an account, or replaces the installation of that ID.
// The error wraps ErrNotFound when there is no such App.
func (s *Server) Install(appID int64, i Installation) error {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	app := s.tokens.apps[appID]
	if app == nil {
		return fmt.Errorf("install app %d: %w", appID, ErrNotFound)
	}
	if i.Permissions == nil {
		i.Permissions = Permissions{"contents": Write, "metadata": Read}
	}
	if s.tokens.installs == nil {
		s.tokens.installs = map[int64]*installation{}
	}
	s.tokens.installs[i.ID] = &installation{Installation: i, app: app}
	return nil
}

// Uninstall takes an installation away: its tokens are unknown from then on. It
// reports whether there was one of that ID.
func (s *Server) Uninstall(id int64) bool {
	s.RevokeTokens(id)
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	_, there := s.tokens.installs[id]
	delete(s.tokens.installs, id)
	return there
}

// Suspend takes an installation out of use, or back into it. Its tokens end with
// the suspension. The error wraps ErrNotFound.
func (s *Server) Suspend(id int64, suspended bool) error {
	s.RevokeTokens(id)
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	old := s.tokens.installs[id]
	if old == nil {
		return fmt.Errorf("suspend installation %d: %w", id, ErrNotFound)
	}
	i := *old // requests on their way keep the old one
	i.suspended = suspended
	s.tokens.installs[id] = &i
	return nil
}

// RevokeTokens makes all tokens of an installation unknown.
func (s *Server) RevokeTokens(id int64) {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	maps.DeleteFunc(s.tokens.bySecret, func(_ string, t *Token) bool {
		return t.installation != nil && t.installation.ID == id
	})
}

func (i *installation) reaches(repo *Repository) bool {
	name := repo.Name()
	owner, _, _ := strings.Cut(name, "/")
	return strings.EqualFold(owner, i.Account) && (i.Repositories == nil ||
		slices.ContainsFunc(i.Repositories, func(r string) bool { return strings.EqualFold(r, name) }))
}

// identifyApp checks an App's JWT: RS256, by a known App, with whole seconds,
// living now and not for longer than ten minutes.
func (c *call) identifyApp(jwt string) caller {
	unauthorized := func(text string) caller {
		return caller{err: &refusal{status: http.StatusUnauthorized, message: text, doc: docsRoot}}
	}
	claims, signed, signature, err := parseJWT(jwt)
	if err != nil {
		return unauthorized("A JSON web token could not be decoded")
	}
	app := c.appOf(claims["iss"])
	if app == nil {
		return caller{err: &refusal{status: http.StatusNotFound, message: "Integration not found", doc: docsRoot}}
	}
	digest := sha256.Sum256([]byte(signed))
	if rsa.VerifyPKCS1v15(app.Key, crypto.SHA256, digest[:], signature) != nil {
		return unauthorized("A JSON web token could not be decoded")
	}
	issued, ok := wholeSeconds(claims["iat"])
	if !ok || issued.After(c.start.Add(jwtSkew)) {
		return unauthorized("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
	}
	expires, ok := wholeSeconds(claims["exp"])
	if !ok || !expires.After(c.start) {
		return unauthorized("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires")
	}
	if expires.After(c.start.Add(jwtLifetime + jwtSkew/2)) {
		return unauthorized("'Expiration time' claim ('exp') is too far in the future")
	}
	return caller{app: app}
}

func parseJWT(jwt string) (claims map[string]json.Number, signed string, signature []byte, err error) {
	header, rest, _ := strings.Cut(jwt, ".")
	payload, sig, _ := strings.Cut(rest, ".")
	var algorithm struct {
		Alg string `json:"alg"`
	}
	if err := decodeJWTPart(header, &algorithm); err != nil {
		return nil, "", nil, err
	}
	if algorithm.Alg != "RS256" {
		return nil, "", nil, fmt.Errorf("algorithm %q: %w", algorithm.Alg, ErrInvalid)
	}
	var raw map[string]json.RawMessage
	if err := decodeJWTPart(payload, &raw); err != nil {
		return nil, "", nil, err
	}
	claims = map[string]json.Number{}
	for name, value := range raw {
		claims[name] = json.Number(strings.Trim(string(value), `"`))
	}
	signature, err = base64.RawURLEncoding.DecodeString(sig)
	return claims, header + "." + payload, signature, err
}

func decodeJWTPart(part string, v any) error {
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func wholeSeconds(n json.Number) (time.Time, bool) {
	seconds, err := strconv.ParseInt(n.String(), 10, 64)
	return time.Unix(seconds, 0), err == nil && seconds > 0 && seconds < math.MaxInt32*2
}

// appOf finds the App that a JWT names by its ID or client ID.
func (c *call) appOf(issuer json.Number) *App {
	c.tokens.mu.RLock()
	defer c.tokens.mu.RUnlock()
	for _, a := range c.tokens.apps {
		if issuer.String() == strconv.FormatInt(a.ID, 10) || a.ClientID != "" && issuer.String() == a.ClientID {
			return a
		}
	}
	return nil
}

func getApp(c *call) (*response, error) {
	a := c.caller.app
	return &response{body: map[string]any{
		"id": a.ID, "client_id": a.ClientID, "slug": a.Slug, "node_id": nodeID("A", a.ID, a.Slug), "name": a.Slug,
		"owner": c.account(a.Slug + "-owner"), "description": nil, "external_url": c.bases().pages,
		"html_url": c.bases().pages + "/apps/" + a.Slug, "created_at": epoch, "updated_at": epoch,
		"permissions": Permissions{}, "events": []string{},
	}}, nil
}

func getInstallation(c *call) (*response, error) {
	c.tokens.mu.RLock()
	defer c.tokens.mu.RUnlock()
	for _, i := range c.tokens.installs {
		if i.app == c.caller.app && i.reaches(c.repo) {
			return &response{body: c.installationBody(i)}, nil
		}
	}
	return nil, notFound()
}

// installationOf finds the one that the path names, of the App that asks.
func (c *call) installationOf() (*installation, error) {
	id, err := strconv.ParseInt(c.r.PathValue("installation_id"), 10, 64)
	if err != nil {
		return nil, notFound()
	}
	c.tokens.mu.RLock()
	defer c.tokens.mu.RUnlock()
	i := c.tokens.installs[id]
	if i == nil || i.app != c.caller.app {
		return nil, notFound()
	}
	return i, nil
}

func getOwnInstallation(c *call) (*response, error) {
	i, err := c.installationOf()
	if err != nil {
		return nil, err
	}
	return &response{body: c.installationBody(i)}, nil
}

func (c *call) installationBody(i *installation) map[string]any {
	body := map[string]any{
		"id": i.ID, "app_id": i.app.ID, "client_id": i.app.ClientID, "app_slug": i.app.Slug,
		"account": c.account(i.Account), "target_id": userID(i.Account), "target_type": "Organization",
		"repository_selection": i.selection(), "permissions": i.Permissions, "events": []string{}, "single_file_name": nil,
		"access_tokens_url": c.apiURL("app/installations", strconv.FormatInt(i.ID, 10), "access_tokens"),
		"repositories_url":  c.apiURL("installation/repositories"),
		"html_url":          c.bases().pages + "/organizations/" + i.Account + "/settings/installations/" + strconv.FormatInt(i.ID, 10),
		"created_at":        epoch, "updated_at": epoch, "suspended_by": nil, "suspended_at": nil,
	}
	if i.suspended {
		body["suspended_by"], body["suspended_at"] = c.account(i.Account), epoch
	}
	return body
}

func (i *installation) selection() string {
	if i.Repositories == nil {
		return "all"
	}
	return "selected"
}

// tokenRequest narrows an installation token; all of it may be left out.
type tokenRequest struct {
	Repositories  []string    `json:"repositories"`
	RepositoryIDs []int64     `json:"repository_ids"`
	Permissions   Permissions `json:"permissions"`
}

type accessTokenJSON struct {
	Token               string           `json:"token"`
	ExpiresAt           string           `json:"expires_at"`
	Permissions         Permissions      `json:"permissions"`
	RepositorySelection string           `json:"repository_selection"`
	Repositories        []map[string]any `json:"repositories,omitempty"`
}

func createAccessToken(c *call) (*response, error) {
	install, err := c.installationOf()
	if err != nil {
		return nil, err
	}
	if install.suspended {
		return nil, refuse(http.StatusForbidden, "This installation has been suspended")
	}
	var want tokenRequest
	if len(c.body) > 0 {
		if err := json.Unmarshal(c.body, &want); err != nil { // null is fine
			return nil, refuse(http.StatusBadRequest, "Problems parsing JSON")
		}
	}
	token, chosen, err := c.installationToken(install, want)
	if err != nil {
		return nil, err
	}
	body := accessTokenJSON{
		ExpiresAt: token.Expires.UTC().Format(dateFormat), Permissions: token.Permissions, RepositorySelection: install.selection(),
	}
	for _, r := range chosen {
		one, err := c.repositoryBody(r)
		if err != nil {
			return nil, err
		}
		body.Repositories, body.RepositorySelection = append(body.Repositories, one), "selected"
	}
	if body.Token, err = c.installationSecret(install.app); err != nil {
		return nil, err
	}
	c.tokens.add(body.Token, token)
	return &response{status: http.StatusCreated, body: body}, nil
}

// installationToken makes the token that is wanted. It reaches the chosen
// repositories, or all of the installation when none were named.
func (c *call) installationToken(i *installation, want tokenRequest) (t Token, chosen []*Repository, err error) {
	t = Token{
		Name: "installation:" + i.app.Slug, Login: i.app.Slug + "[bot]", Kind: KindInstallation,
		Expires: c.start.Add(tokenLifetime).Truncate(time.Second), installation: i,
		knownFrom: c.start.Add(time.Duration(c.set.TokenLag)),
	}
	if t.Permissions, err = i.narrow(want.Permissions); err != nil {
		return t, nil, err
	}
	if chosen, err = c.choose(i, want); err != nil {
		return t, nil, err
	}
	for _, r := range chosen {
		t.Repositories = append(t.Repositories, r.Name())
	}
	return t, chosen, nil
}

// narrow takes the wanted permissions; more than the installation has is
// refused.
func (i *installation) narrow(want Permissions) (Permissions, error) {
	if want == nil {
		return i.Permissions, nil
	}
	for name, access := range want {
		if !i.Permissions.allow(need{name, access}) {
			return nil, invalid("The permissions requested are not granted to this installation.")
		}
	}
	return want, nil
}

// choose returns the repositories that are named, or nil when none are.
func (c *call) choose(i *installation, want tokenRequest) ([]*Repository, error) {
	if len(want.Repositories)+len(want.RepositoryIDs) == 0 {
		return nil, nil
	}
	chosen := slices.DeleteFunc(c.Server.Repositories(), func(r *Repository) bool {
		_, own, _ := strings.Cut(r.Name(), "/")
		named := slices.Contains(want.RepositoryIDs, r.id) ||
			slices.ContainsFunc(want.Repositories, func(name string) bool { return strings.EqualFold(name, own) })
		return !named || !i.reaches(r)
	})
	if len(chosen) < len(want.Repositories)+len(want.RepositoryIDs) {
		return nil, invalid("There is at least one repository that does not exist or is not accessible to the parent installation.")
	}
	return chosen, nil
}

// installationSecret is long and looks like a JWT with a prefix, as GitHub's
// are since 2026.
func (c *call) installationSecret(a *App) (string, error) {
	b, err := c.randomBytes(256)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(b)
	return fmt.Sprintf("ghs_%d_eyJ%s.%s.%s", a.ID, text[:60], text[60:200], text[200:]), nil
}
