package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

const (
	// lease is how long a key stays reserved for a request whose process may have
	// died, and renewLease how often a live request renews it.
	lease      = 15 * time.Second
	renewLease = 4 * time.Second
	// keepPatience bounds how long an answer waits until it is kept for its key.
	keepPatience = 5 * time.Second
	// lookAgain is how often a waiting request checks whether the first is answered.
	lookAgain = 200 * time.Millisecond
	// outcomeReplayed is the outcome of a request that received an earlier answer.
	outcomeReplayed = "replayed"
)

// once returns the answer of do, unless a request with the same key was answered within
// the last day: then it returns that answer. If one is under way, it waits.
func (s *server) once(g *gin.Context, k *queue.Key, do func(context.Context) (response, error)) (response, error) {
	ctx, cancel := context.WithTimeout(g.Request.Context(), s.timeout) // of the wait and the update together
	defer cancel()
	switch earlier, found, err := s.reserve(ctx, *k); {
	case err != nil:
		return response{}, asStoreError(err)
	case found:
		noteOutcome(g, outcomeReplayed)
		return earlier, nil
	}
	defer s.hold(ctx, *k)()
	answered := false
	defer func() {
		if !answered { // a panic
			s.release(g, *k)
		}
	}()
	a, err := do(ctx)
	answered = true
	s.keep(g, *k, a, err)
	return a, err
}

// hold renews the key's lease until the function that it returns is called.
func (s *server) hold(ctx context.Context, k queue.Key) (letGo func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // an update may outlast its caller
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(renewLease)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = s.queue.Renew(ctx, k, lease) // if it fails, the next try is before the lease ends
			}
		}
	})
	return func() {
		cancel()
		renewing.Wait()
	}
}

// keyOf returns the caller's key for this body. Bodies that differ only in layout
// count as equal.
func keyOf(caller, key string, in any) *queue.Key {
	return &queue.Key{Caller: caller, Key: key, Hash: sha256.Sum256(encode(in))}
}

// idOf returns an id that is the same for the same caller, key and body, and nothing
// else's: a UUIDv8, RFC 9562, section 5.8.
func idOf(k *queue.Key) string {
	return uuid.NewHash(sha256.New(), uuid.Nil, encode(k), 8).String()
}

// reserve reserves the key, or returns the answer of the first request with it.
func (s *server) reserve(ctx context.Context, k queue.Key) (earlier response, found bool, err error) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		reservation, err := s.queue.Reserve(ctx, k, lease)
		if err != nil {
			return response{}, false, err
		}
		switch reservation.State {
		case queue.KeyNew:
			return response{}, false, nil
		case queue.KeyDone:
			return kept(reservation.Answer), true, nil
		}
		select {
		case <-tick.C:
		case <-s.stopping.Done():
			return response{}, false, queue.ErrKeyBusy
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return response{}, false, ctx.Err()
			}
			return response{}, false, queue.ErrKeyBusy
		}
	}
}

// keep stores the answer for the key: a, or the problem of err. An answer that asks
// for another try is not stored, and frees the key.
func (s *server) keep(g *gin.Context, k queue.Key, a response, err error) {
	if err != nil {
		p := problemOf(err)
		if a, err = newResponse(p.status, "", problemBody(g, p)); err != nil || p.again() {
			a.again = true
		}
	}
	if a.again {
		s.release(g, k)
		return
	}
	k.Answer = a.keep()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.Request.Context()), keepPatience)
	defer cancel()
	if err := s.queue.Keep(ctx, k); err != nil {
		note(g, slog.String("key_not_kept", err.Error()))
	}
}

func (s *server) release(g *gin.Context, k queue.Key) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.Request.Context()), keepPatience)
	defer cancel()
	if err := s.queue.Release(ctx, k); err != nil && !errors.Is(err, queue.ErrNotFound) {
		note(g, slog.String("key_not_released", err.Error()))
	}
}

// keep returns the answer in its stored form.
func (r response) keep() queue.Answer {
	return queue.Answer{Status: r.status, Location: r.location, Body: r.body}
}

// kept returns the answer from its stored form.
func kept(a queue.Answer) response {
	return response{status: a.Status, location: a.Location, body: a.Body}
}
