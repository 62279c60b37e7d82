package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	gh "github.com/google/go-github/v62/github"
)

const (
	opInstallation = "GET /repos/{owner}/{repo}/installation"
	opMint         = "POST /app/installations/{installation_id}/access_tokens"
	opOwn          = "GET /app/installations/{installation_id}"
)

const (
	// mintTimeout bounds the request for an installation token. It is not ended by
	// the caller that happens to need the token first: others wait for it too.
	mintTimeout = 20 * time.Second
	// renewal is how long before its end a token is replaced.
	renewal = time.Minute
	// settling is for how long after it was minted a token may be refused because
	// GitHub does not know it everywhere yet.
	settling = 5 * time.Second
	// firstSettlingPause is the pause before the second request of a token that was
	// refused while it settles; it doubles up to longestSettlingPause.
	firstSettlingPause   = 250 * time.Millisecond
	longestSettlingPause = time.Second
	// remintEvery is how often, for one repository, a refused token is replaced
	// before its end, or permissions are looked up again.
	remintEvery = time.Minute
	// maxTokenLength bounds a token, in bytes: one of today has some hundred.
	maxTokenLength = 16 << 10
)

// installations is the layer that adds the token of the repository's own
// installation to each request. It is safe for concurrent use.
type installations struct {
	wiring
	client *gh.Client // as the App itself
	fixed  int64      // the installation of every repository; 0: looked up

	mu    sync.Mutex
	known map[Repo]*installation // by folded names
}

// installation is one repository's. Its lock is held while it is looked up and
// while its token is minted.
type installation struct {
	mu      sync.Mutex
	id      int64 // 0: not looked up yet
	renamed int64 // the repository's ID when it has another name now
	// workflows reports that the installation may write workflow files.
	workflows bool
	// pulls reports that tokens are asked for pull requests as well.
	pulls    bool
	token    appToken // the zero value when there is none
	replaced time.Time
	widened  time.Time
}

// appToken is one token of an installation.
type appToken struct {
	secret          string
	minted, expires time.Time
}

// RoundTrip implements http.RoundTripper. A token that GitHub refuses is replaced,
// and a fresh one is sent again for some seconds.
func (s *installations) RoundTrip(req *http.Request) (*http.Response, error) {
	repo := repoOf(req.Context())
	if repo.IsZero() {
		closeBody(req.Body)
		return nil, errors.New("a GitHub App's request names no repository")
	}
	in := s.of(repo)
	for pause := firstSettlingPause; ; pause = min(2*pause, longestSettlingPause) {
		token, err := s.tokenOf(req.Context(), in, repo)
		if err != nil {
			closeBody(req.Body)
			return nil, err
		}
		resp, err := s.plain.RoundTrip(withToken(req, token.secret))
		if err != nil || !isTokenRefusal(resp) {
			return resp, err
		}
		again, ok := unsent(req)
		if !ok || !s.another(req.Context(), in, token, resp.StatusCode, pause) {
			return resp, nil
		}
		closeBody(resp.Body)
		req = again
	}
}

// another reports whether a request whose token was refused is worth sending again:
// after a pause when the token is fresh, else with another one.
func (s *installations) another(ctx context.Context, in *installation, refused appToken, status int, pause time.Duration) bool {
	if s.now().Sub(refused.minted) < settling {
		return s.sleep(ctx, pause) == nil
	}
	return status == http.StatusUnauthorized && s.drop(in, refused)
}

// isTokenRefusal reports whether another token, or the same one a little later,
// may be accepted.
func isTokenRefusal(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return true
	case http.StatusForbidden:
		return strings.Contains(strings.ToLower(peekAnswer(resp).message), "not accessible by integration")
	}
	return false
}

// of returns the installation of a repository, which may not be looked up yet.
func (s *installations) of(repo Repo) *installation {
	key := foldedName(repo)
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.known[key]
	if in == nil {
		in = &installation{}
		s.known[key] = in
	}
	return in
}

// drop forgets a token that was refused, and the installation that it is of. It
// reports whether there will be another one: the last time was a while ago, or
// somebody else has replaced it.
func (s *installations) drop(in *installation, refused appToken) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.token != refused {
		return true
	}
	if !in.replaced.IsZero() && s.now().Sub(in.replaced) < remintEvery {
		return false
	}
	in.forgetLocked()
	in.replaced = s.now()
	return true
}

func (in *installation) forgetLocked() {
	in.token, in.id, in.renamed, in.workflows = appToken{}, 0, 0, false
}

// tokenOf returns the token to send, minted on first use and before it ends.
func (s *installations) tokenOf(ctx context.Context, in *installation, repo Repo) (appToken, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mintTimeout)
	defer cancel()
	in.mu.Lock()
	defer in.mu.Unlock()
	if forPulls(ctx) && !in.pulls {
		in.pulls, in.token = true, appToken{}
	}
	if in.token.secret != "" && s.now().Before(in.token.expires.Add(-renewal)) {
		return in.token, nil
	}
	if in.id == 0 {
		if err := s.findLocked(ctx, in, repo); err != nil {
			return appToken{}, err
		}
	}
	token, err := s.mint(ctx, in, repo)
	if lacksPermission(err) && in.pulls {
		in.pulls = false
		if forPulls(ctx) {
			return appToken{}, pullsRefusal(err)
		}
		token, err = s.mint(ctx, in, repo)
	}
	if lacksPermission(err) && in.workflows {
		in.workflows = false // it was taken away
		token, err = s.mint(ctx, in, repo)
	}
	var refused *Error
	if errors.As(err, &refused) && refused.Status >= 400 && refused.Status < 500 {
		in.forgetLocked() // it may be installed anew, or have other permissions now
	}
	if err != nil {
		return appToken{}, err
	}
	in.token = token
	return token, nil
}

func lacksPermission(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusUnprocessableEntity
}

// mint asks for a token, narrowed to the repository and to what is needed.
func (s *installations) mint(ctx context.Context, in *installation, repo Repo) (appToken, error) {
	narrow := &gh.InstallationTokenOptions{
		Repositories: []string{repo.Name},
		Permissions:  &gh.InstallationPermissions{Contents: gh.String("write")},
	}
	if in.workflows {
		narrow.Permissions.Workflows = gh.String("write")
	}
	if in.pulls {
		narrow.Permissions.PullRequests = gh.String("write")
	}
	if in.renamed != 0 {
		narrow.Repositories, narrow.RepositoryIDs = nil, []int64{in.renamed}
	}
	minted, resp, err := s.client.Apps.CreateInstallationToken(ctx, in.id, narrow)
	if n := len(minted.GetToken()); err == nil && (n == 0 || n > maxTokenLength) {
		err = fmt.Errorf("it holds a token of %d bytes", n)
	}
	if err != nil {
		return appToken{}, mintRefusal(translate(ctx, opMint, resp, err))
	}
	return appToken{secret: minted.GetToken(), minted: s.now(), expires: minted.GetExpiresAt().Time}, nil
}

// findLocked fills in the installation of the repository.
func (s *installations) findLocked(ctx context.Context, in *installation, repo Repo) error {
	if s.fixed != 0 {
		in.id = s.fixed
		return nil
	}
	found, renamed, err := s.lookUp(ctx, repo)
	if err != nil {
		return err
	}
	in.id, in.renamed, in.workflows = found.GetID(), renamed, mayWriteWorkflows(found)
	return nil
}

func mayWriteWorkflows(i *gh.Installation) bool { return i.GetPermissions().GetWorkflows() == "write" }

// widen implements session: it looks the installation's permissions up again.
func (s *installations) widen(ctx context.Context, repo Repo) bool {
	ctx, cancel := context.WithTimeout(ctx, mintTimeout)
	defer cancel()
	in := s.of(repo)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.workflows || !in.widened.IsZero() && s.now().Sub(in.widened) < remintEvery {
		return false
	}
	in.widened = s.now()
	found, err := s.installation(ctx, repo)
	if err != nil || !mayWriteWorkflows(found) {
		return false
	}
	in.id, in.workflows, in.token = found.GetID(), true, appToken{}
	return true
}

// installation asks what the repository's installation is now.
func (s *installations) installation(ctx context.Context, repo Repo) (*gh.Installation, error) {
	if s.fixed == 0 {
		found, _, err := s.lookUp(ctx, repo)
		return found, err
	}
	found, resp, err := s.client.Apps.GetInstallation(ctx, s.fixed)
	if err == nil && found.GetID() != s.fixed {
		err = errors.New("it is another installation")
	}
	return found, translate(ctx, opOwn, resp, err)
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
	err = translate(ctx, opInstallation, resp, err)
	var e *Error
	if errors.As(err, &e) {
		switch e.Status {
		case http.StatusNotFound:
			e.Detail = fmt.Sprintf("the GitHub App is not installed on %s, or there is no such repository; install it there", repo)
		case http.StatusUnauthorized:
			e.Detail = wrongAppKey + e.words
		}
	}
	return nil, 0, err
}
