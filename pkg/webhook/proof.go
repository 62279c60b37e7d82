package webhook

import "context"

// proof is how a sender shows that a request is its own.
type proof struct {
	// head judges headers and URL before the body is read. It reports whether they
	// prove the request whatever its body holds; when they do not, body decides.
	// Its error wraps ErrUnauthenticated or ErrUnavailable.
	head func(context.Context, Request) (proven bool, err error)
	// body judges the body of a request that head let pass without a proof. It is
	// nil where head decides everything.
	body func(r Request, body []byte) error
}

// byHead is a proof that headers and URL alone decide.
func byHead(check func(Request) error) proof {
	return proof{head: withoutContext(func(r Request) (bool, error) {
		err := check(r)
		return err == nil, err
	})}
}

func withoutContext(head func(Request) (bool, error)) func(context.Context, Request) (bool, error) {
	return func(_ context.Context, r Request) (bool, error) { return head(r) }
}

// either accepts one of two proofs, of which first is decided by the head. It
// always asks both, and reports why first failed when both do.
func either(first, second proof) proof {
	return proof{
		head: func(ctx context.Context, r Request) (bool, error) {
			_, err := first.head(ctx, r)
			proven, other := second.head(ctx, r)
			if err == nil || other == nil {
				return err == nil || proven, nil
			}
			return false, err
		},
		body: second.body,
	}
}
