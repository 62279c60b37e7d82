package worker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// holdPatience bounds how long an update waits for the store to tell the holds.
const holdPatience = 2 * time.Second

// HoldStore is where holds are stored. *queue.Queue is one.
type HoldStore interface {
	// Holds returns the holds that stand, the oldest first.
	Holds(ctx context.Context) ([]queue.Hold, error)
}

// Holds are those of the store, which all replicas share, for the use case. While the
// store is away, those count that this process read last. It is safe for concurrent use.
type Holds struct {
	store HoldStore

	mu   sync.Mutex
	last []update.Hold
}

// NewHolds reads the holds once. It fails when they cannot be read.
func NewHolds(ctx context.Context, store HoldStore) (*Holds, error) {
	h := &Holds{store: store}
	if err := h.read(ctx); err != nil {
		return nil, fmt.Errorf("read the holds: %w", err)
	}
	return h, nil
}

// Standing implements update.Holds.
func (h *Holds) Standing(ctx context.Context) []update.Hold {
	ctx, cancel := context.WithTimeout(ctx, holdPatience)
	defer cancel()
	_ = h.read(ctx) // the store's state is told by its own metrics
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	return slices.DeleteFunc(slices.Clone(h.last), func(hold update.Hold) bool {
		return !hold.Until.IsZero() && !hold.Until.After(now)
	})
}

func (h *Holds) read(ctx context.Context) error {
	stored, err := h.store.Holds(ctx)
	if err != nil {
		return err
	}
	holds := make([]update.Hold, len(stored))
	for i, s := range stored {
		holds[i] = update.Hold(s)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = holds
	return nil
}
