package api_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue/queuetest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// updater is a use case whose every request comes to one result, after it was
// shown the request.
type updater func(update.Request) update.Result

func (u updater) Update(_ context.Context, r update.Request) ([]update.Result, error) {
	result := u(r)
	result.Images = r.Images
	return []update.Result{result}, nil
}

func (u updater) Choose(r update.Request) ([]update.Choice, error) {
	return []update.Choice{{Place: u.Places()[0], Images: r.Images}}, nil
}

func (u updater) Places() []update.Place {
	return []update.Place{{ID: "octo-org/infra", Key: "octo-org/infra@"}}
}

func (u updater) In(string) []update.Place { return u.Places() }

func (u updater) Apply(_ context.Context, _ string, requests []update.Request) []update.Result {
	var results []update.Result
	for _, r := range requests {
		results = append(results, u(r))
	}
	return results
}

// unchanged finds everything done already.
func unchanged(update.Request) update.Result { return update.Result{Status: update.Unchanged} }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// newServer serves the updater with a store of its own.
func newServer(t testing.TB, logger *slog.Logger, u updater) *api.Server {
	t.Helper()
	server, _ := newServerAndStore(t, logger, u)
	return server
}

func newServerAndStore(t testing.TB, logger *slog.Logger, u updater) (*api.Server, *queue.Queue) {
	t.Helper()
	store, err := queue.Open(t.Context(), queue.Options{URL: queuetest.SQLite(t, filepath.Join(t.TempDir(), "queue.db"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	server, err := api.New(api.Options{
		Configuration: api.Configuration{Updates: u, Worker: worker.New(u, logger)},
		Queue:         store, Ready: func(context.Context) api.Readiness { return api.Readiness{} },
		UpdateTimeout: time.Minute, Metrics: prometheus.NewRegistry(), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, store
}
