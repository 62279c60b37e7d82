package github

import (
	"maps"
	"strings"
	"sync"
)

// budgets are the limits of a credential. GitHub counts a personal token's requests
// together, and those of an App for each account on which it is installed. It is safe for
// concurrent use.
type budgets struct {
	fresh func() *limiter

	mu       sync.Mutex
	perOwner bool
	known    map[string]*limiter // by the owner in lower case; "" is the token's
}

func newBudgets(fresh func() *limiter) *budgets {
	return &budgets{fresh: fresh, known: map[string]*limiter{}}
}

// of returns the limits of requests about a repository.
func (b *budgets) of(repo Repo) *limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	owner := ""
	if b.perOwner {
		owner = strings.ToLower(repo.Owner)
	}
	l := b.known[owner]
	if l == nil {
		l = b.fresh()
		b.known[owner] = l
	}
	return l
}

// become takes in that another credential is limited from now on. The pace of what was
// written goes on.
func (b *budgets) become(credential Credential) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.perOwner = !credential.isUser()
	for _, l := range b.known {
		l.forget()
	}
}

// RateLimits returns the budgets as the last responses reported them: of each owner that
// was asked about for an App, by its name in lower case, else the one of the token, by
// "". It makes no request.
func (c *Client) RateLimits() map[string]RateLimit {
	c.budgets.mu.Lock()
	known := maps.Clone(c.budgets.known)
	c.budgets.mu.Unlock()
	limits := map[string]RateLimit{}
	for owner, l := range known {
		limits[owner] = l.known()
	}
	return limits
}

// RateLimit returns the budget for requests about a repository as the last responses
// reported it, without a request.
func (c *Client) RateLimit(repo Repo) RateLimit { return c.budgets.of(repo).known() }

// limits are those of the branch's repository.
func (b *Branch) limits() *limiter { return b.client.budgets.of(b.asked) }
