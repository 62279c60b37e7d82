package github

import (
	"context"
	"sync/atomic"
)

// Spending counts the requests that were made to GitHub's API on behalf of one
// context. The download of an archive, which is served by another host, is not
// among them. It is safe for concurrent use.
type Spending struct {
	requests atomic.Int64
}

// Requests is the number of requests so far, those that failed included.
func (s *Spending) Requests() int64 { return s.requests.Load() }

type spendingKey struct{}

// WithSpending returns a context whose requests are counted. A count around it
// goes on too.
func WithSpending(ctx context.Context) (context.Context, *Spending) {
	s := &account{parent: accountOf(ctx)}
	return context.WithValue(ctx, spendingKey{}, s), &s.Spending
}

// account is a count and the one around it.
type account struct {
	Spending
	parent *account
}

func accountOf(ctx context.Context) *account {
	a, _ := ctx.Value(spendingKey{}).(*account)
	return a
}

func (a *account) sent() {
	for ; a != nil; a = a.parent {
		a.requests.Add(1)
	}
}
