package github

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	gh "github.com/google/go-github/v62/github"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/backoff"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"
)

// DefaultBaseURL is the API of github.com.
const DefaultBaseURL = "https://api.github.com/"

// defaultCacheBytes is the default of Options.CacheBytes.
const defaultCacheBytes = 128 << 20

// userAgent names this client to GitHub, which refuses requests without a name.
const userAgent = "versions-service"

// Options say how to speak to GitHub. The zero value lacks a Credential.
type Options struct {
	// BaseURL is the API's root, taken as it is: https://HOST/api/v3/ for an
	// Enterprise Server. Empty means DefaultBaseURL.
	BaseURL string
	// Credential is Token or App.
	Credential Credential
	// Transport carries every request, those for archives included; nil means a
	// copy of http.DefaultTransport.
	Transport http.RoundTripper
	// CacheBytes is the budget of Memory; 0 means 128 MiB, a negative number none.
	CacheBytes int64
	// Author and Committer of the commits; nil leaves them to GitHub, which takes
	// the credential's own identity and signs an App's commits.
	Author, Committer *Signature
	// SigningKey is an armoured OpenPGP private key that signs the commits; empty
	// means none. Author defaults to the key's identity.
	SigningKey string
	// Unpaced switches off the pacing of writes to GitHub's published limits, for
	// servers that have none. Limits that a server answers with are always kept.
	Unpaced bool
	// Observe is called for every HTTP request once its response was read. It is called
	// concurrently and must not block. Optional.
	Observe func(context.Context, Call)
	// CredentialChanged and BranchChanged are called when a State changes: concurrently,
	// but in order for each repository and branch. They must neither block nor use the
	// Client. branch is the configured one, empty for the default branch. Optional.
	CredentialChanged func(Repo, State)
	BranchChanged     func(repo Repo, branch string, state State)

	// Now, Sleep and Random (in [0, 1)) replace the clock and the source of chance
	// in tests; nil means the real ones.
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error
	Random func() float64
}

// Client speaks to GitHub with one credential at a time. It is safe for concurrent use.
type Client struct {
	identity atomic.Pointer[identity]
	wiring   wiring
	api      *gh.Client
	archives *http.Client // without the credential
	budgets  *budgets
	memory   *cache.Budget
	blobs    *cache.Cache[SHA, []byte]
	// snapshots holds the newest one of each branch.
	snapshots *cache.Cache[cache.Key, *Snapshot]
	proposals *cache.Cache[proposalKey, *Proposal]
	past      past
	trip      roundTrip
	// fewerEntries is how many entries a new tree may have, once GitHub took too long for
	// one; 0 before.
	fewerEntries atomic.Int64

	author, committer *Signature

	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	random func() float64

	credentialChanged func(Repo, State)
	branchChanged     func(Repo, string, State)

	mu        sync.Mutex
	branches  map[branchKey]*Branch
	standings map[Repo]*standing // of the credential, by folded names
	expires   time.Time          // of the credential, zero when unknown
}

type branchKey struct{ owner, name, branch string }

func (k branchKey) key() cache.Key {
	return cache.Key{Variant: unique.Make(k.owner + "/" + k.name + " " + k.branch)}
}

// NewClient returns a Client and makes no request. The error says what is wrong
// with the options and holds no secret.
func NewClient(o Options) (*Client, error) {
	o = withDefaults(o)
	base, err := baseURL(o.BaseURL)
	if err != nil {
		return nil, err
	}
	if o.Credential == nil {
		return nil, errors.New("a credential is needed")
	}
	c := &Client{
		budgets:   newBudgets(func() *limiter { return newLimiter(o.Now, o.Sleep, !o.Unpaced) }),
		memory:    cache.NewBudget(o.CacheBytes),
		proposals: cache.New(cache.NewBudget(keptProposals), "pull requests", proposalKey.key, func(*Proposal) int64 { return 1 }),
		author:    o.Author,
		committer: o.Committer,
		now:       o.Now,
		sleep:     o.Sleep,
		random:    o.Random,
		branches:  map[branchKey]*Branch{},
		standings: map[Repo]*standing{},

		credentialChanged: o.CredentialChanged,
		branchChanged:     o.BranchChanged,
	}
	c.blobs = cache.NewYielding(c.memory, "files", SHA.Key, blobCost)
	c.snapshots = cache.New(c.memory, "listings", func(k cache.Key) cache.Key { return k }, (*Snapshot).cost)
	c.past = newPast(c.memory)
	c.connect(o, base)
	if err := c.Become(o.Credential, o.SigningKey); err != nil {
		return nil, err
	}
	return c, nil
}

func withDefaults(o Options) Options {
	if o.BaseURL == "" {
		o.BaseURL = DefaultBaseURL
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.Transport == nil {
		o.Transport = ownTransport()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = backoff.Sleep
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return o
}

// ownTransport is a copy of the standard library's transport that keeps as many
// connections as there are reads in parallel.
func ownTransport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	t := standard.Clone()
	t.MaxIdleConnsPerHost = parallelReads
	return t
}

func baseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the API URL is not one like " + DefaultBaseURL)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	return u, nil
}

// connect stacks the layers that a request passes: credential, limits, bounds,
// observer, transport. An App's own requests have limits of their own.
func (c *Client) connect(o Options, base *url.URL) {
	observed := &bounds{base: base.Path, next: &observer{next: o.Transport, base: base.Path, now: o.Now, observe: o.Observe}}
	own := newLimiter(o.Now, o.Sleep, false)
	c.wiring = wiring{
		plain: &watch{next: observed, limits: c.budgets.of},
		side:  &watch{next: observed, limits: func(Repo) *limiter { return own }},
		api:   base, now: o.Now, sleep: o.Sleep,
	}
	c.api = gh.NewClient(&http.Client{Transport: asIdentity{c}, CheckRedirect: sameHost})
	c.api.BaseURL = base
	c.api.UserAgent = userAgent
	c.archives = &http.Client{Transport: &observer{next: o.Transport, archive: true, now: o.Now, observe: o.Observe}}
}

// Branch returns the branch of a repository, the same one each time; an empty
// name means the default branch. It makes no request.
func (c *Client) Branch(repo Repo, branch string) *Branch {
	key := branchKey{strings.ToLower(repo.Owner), strings.ToLower(repo.Name), branch}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.branches[key]
	if b == nil {
		b = &Branch{client: c, asked: repo, configured: branch, standing: standing{now: c.now}}
		b.known.snapshots, b.known.key = c.snapshots, key.key()
		c.memory.Reserve(branchCost)
		if c.branchChanged != nil {
			b.standing.changed = func(state State) { c.branchChanged(repo, branch, state) }
		}
		c.branches[key] = b
	}
	return b
}

// Memory is the budget that everything shares which is remembered of repositories. What
// others remember of their files may share it as well.
func (c *Client) Memory() *cache.Budget { return c.memory }

// Status is what Check finds out about the credential and a repository.
type Status struct {
	// Repo is the repository's present name.
	Repo          Repo
	DefaultBranch string
	RateLimit     RateLimit
	// TokenExpires is when a personal access token ends, zero when GitHub does not report it.
	TokenExpires time.Time
}

// Check asks whether GitHub accepts the credential for the repository and lets
// it push. An ErrUnauthorized, ErrForbidden or ErrRepositoryNotFound is a refusal;
// other errors say nothing about the credential. RateLimit is filled in any case.
//
// A fine-grained token's own permissions are not told by GitHub before they are
// needed: one without Contents: write passes when its owner may push.
func (c *Client) Check(ctx context.Context, repo Repo) (Status, error) {
	found, err := c.repository(ctx, repo)
	c.mu.Lock()
	s := Status{Repo: repo, RateLimit: c.RateLimit(repo), TokenExpires: c.expires}
	c.mu.Unlock()
	if err != nil {
		return s, err
	}
	s.DefaultBranch = found.GetDefaultBranch()
	if name, err := ParseRepo(found.GetFullName()); err == nil {
		s.Repo = name
	}
	if refused := c.readOnly(repo, found); refused != nil {
		c.standingOf(repo).refused(refused, true)
		return s, refused
	}
	c.standingOf(repo).checked()
	return s, nil
}

// readOnly returns why the credential may not push, nil when nothing speaks
// against it.
func (c *Client) readOnly(repo Repo, found *gh.Repository) *Error {
	push, told := found.GetPermissions()["push"]
	switch {
	case found.GetArchived():
		return &Error{Kind: ErrForbidden, Op: opRepository, Detail: "the repository is archived and read-only; unarchive it or remove it from the targets"}
	case told && !push && c.identity.Load().credential.isUser():
		return &Error{
			Kind: ErrForbidden, Op: opRepository, Permission: contentsWrite,
			Detail: fmt.Sprintf("the credential may read %s but not push to it; grant Contents: write", repo),
		}
	}
	return nil
}

const opRepository = "GET /repos/{owner}/{repo}"

// repository reads what GitHub says about a repository, following a rename.
func (c *Client) repository(ctx context.Context, repo Repo) (*gh.Repository, error) {
	return c.askRepository(ctx, request{op: opRepository, repo: repo})
}

func (c *Client) askRepository(ctx context.Context, r request) (*gh.Repository, error) {
	var found *gh.Repository
	err := c.ask(ctx, r, func(ctx context.Context) (resp *gh.Response, err error) {
		found, resp, err = c.api.Repositories.Get(ctx, r.repo.Owner, r.repo.Name)
		if err == nil {
			c.noteExpiry(resp.Header.Get(headerTokenExpires))
		}
		return resp, err
	})
	return found, err
}

// noteExpiry reads a time in the form that GitHub uses in this header alone.
func (c *Client) noteExpiry(value string) {
	for _, layout := range []string{"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700"} {
		if at, err := time.Parse(layout, value); err == nil {
			c.mu.Lock()
			c.expires = at
			c.mu.Unlock()
			return
		}
	}
}
