package github

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	gh "github.com/google/go-github/v62/github"
)

const opInstallation = "GET /repos/{owner}/{repo}/installation"

// mintTimeout bounds the request for an installation token. It is not ended by
// the caller that happens to need the token first: others wait for it too.
const mintTimeout = 20 * time.Second

// App is the credential of a GitHub App. Its tokens are narrowed to the one
// repository and to Contents read and write; Workflows is asked for as well when
// the installation was looked up and has it. A token is renewed a minute before
// it ends, once for all that wait for it.
type App struct {
	ID int64
	// PrivateKey is the App's RSA key in PEM.
	PrivateKey []byte
	// InstallationID is the installation for every repository; 0 has it looked up
	// once for each repository.
	InstallationID int64
}

// String names the App without its key.
func (a App) String() string { return fmt.Sprintf("GitHub App %d", a.ID) }

// GoString is String.
func (a App) GoString() string { return a.String() }

// LogValue is String.
func (a App) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalText is String.
func (a App) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (App) refreshes() bool { return true }

func (a App) over(plain, side http.RoundTripper, api *url.URL) (http.RoundTripper, error) {
	if a.ID <= 0 {
		return nil, errors.New("the GitHub App's ID is missing")
	}
	apps, err := a.self(side, api)
	if err != nil {
		return nil, err
	}
	client := gh.NewClient(&http.Client{Transport: apps, CheckRedirect: sameHost})
	client.BaseURL = api
	return &installations{
		plain: plain, client: client, fixed: a.InstallationID, known: map[Repo]*installation{},
		self: func() (*ghinstallation.AppsTransport, error) { return a.self(side, api) },
	}, nil
}

// self returns the layer that proves to be the App itself.
func (a App) self(side http.RoundTripper, api *url.URL) (*ghinstallation.AppsTransport, error) {
	apps, err := ghinstallation.NewAppsTransport(side, a.ID, a.PrivateKey)
	if err != nil {
		return nil, errors.New("the GitHub App's private key is not an RSA key in PEM")
	}
	apps.BaseURL = strings.TrimRight(api.String(), "/")
	return apps, nil
}

// installations is the layer that adds the token of the repository's own
// installation to each request.
type installations struct {
	plain  http.RoundTripper
	client *gh.Client // as the App itself
	fixed  int64
	// self makes a layer for one installation: ghinstallation writes to it
	// whenever it renews a token.
	self func() (*ghinstallation.AppsTransport, error)

	mu    sync.Mutex
	known map[Repo]*installation
}

// installation is one repository's. Its lock is held while it is looked up.
type installation struct {
	mu     sync.Mutex
	tokens *ghinstallation.Transport
}

// RoundTrip implements http.RoundTripper.
func (s *installations) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := s.token(req.Context())
	if err != nil {
		closeBody(req.Body)
		return nil, err
	}
	clone := req.Clone(req.Context())
	clone.Header.Set("Authorization", "Bearer "+token)
	return s.plain.RoundTrip(clone)
}

func (s *installations) token(ctx context.Context) (string, error) {
	repo := repoOf(ctx)
	if repo.IsZero() {
		return "", errors.New("a GitHub App's request names no repository")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mintTimeout)
	defer cancel()
	in := s.of(repo)
	tokens, err := s.find(ctx, in, repo)
	if err != nil {
		return "", err
	}
	token, err := tokens.Token(ctx)
	var refused *ghinstallation.HTTPError
	if errors.As(err, &refused) && refused.Response != nil {
		in.forget() // it may be installed anew, or have other permissions now
	}
	return token, err
}

// of returns the installation of a repository, which may be none yet.
func (s *installations) of(repo Repo) *installation {
	key := Repo{Owner: strings.ToLower(repo.Owner), Name: strings.ToLower(repo.Name)}
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.known[key]
	if in == nil {
		in = &installation{}
		s.known[key] = in
	}
	return in
}

func (in *installation) forget() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.tokens = nil
}

// find returns the repository's source of tokens, looked up on first use.
func (s *installations) find(ctx context.Context, in *installation, repo Repo) (*ghinstallation.Transport, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.tokens != nil {
		return in.tokens, nil
	}
	narrow := &gh.InstallationTokenOptions{
		Repositories: []string{repo.Name},
		Permissions:  &gh.InstallationPermissions{Contents: gh.String("write")},
	}
	id := s.fixed
	if id == 0 {
		found, renamed, err := s.lookUp(ctx, repo)
		if err != nil {
			return nil, err
		}
		id = found.GetID()
		if found.GetPermissions().GetWorkflows() == "write" {
			narrow.Permissions.Workflows = gh.String("write")
		}
		if renamed != 0 {
			narrow.Repositories, narrow.RepositoryIDs = nil, []int64{renamed}
		}
	}
	apps, err := s.self()
	if err != nil {
		return nil, err
	}
	in.tokens = ghinstallation.NewFromAppsTransport(apps, id)
	in.tokens.InstallationTokenOptions = narrow
	return in.tokens, nil
}

// lookUp finds the installation of a repository, and the repository's ID when it
// was renamed.
func (s *installations) lookUp(ctx context.Context, repo Repo) (found *gh.Installation, renamed int64, err error) {
	found, resp, err := s.client.Apps.FindRepositoryInstallation(ctx, repo.Owner, repo.Name)
	if err == nil && found.GetID() == 0 {
		err = errors.New("it names no installation")
	}
	if err == nil {
		_, after, _ := strings.Cut(resp.Request.URL.Path, "/repositories/")
		renamed, _ = strconv.ParseInt(strings.TrimSuffix(after, "/installation"), 10, 64) // 0 when it was not
		return found, renamed, nil
	}
	err = verdict(ctx, opInstallation, resp, err)
	var e *Error
	if errors.As(err, &e) {
		switch e.Status {
		case http.StatusNotFound:
			e.Detail = fmt.Sprintf("the GitHub App is not installed on %s, or there is no such repository; install it there", repo)
		case http.StatusUnauthorized:
			e.Detail = "the GitHub App's ID and private key do not belong together, the key was deleted, or this machine's clock is wrong"
		}
	}
	return nil, 0, err
}
