package queue_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// An update is stored, carried out, and can be looked up.
func Example() {
	folder, err := os.MkdirTemp("", "queue")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	ctx := context.Background()
	q, err := queue.Open(ctx, queue.Options{
		URL: "sqlite:" + filepath.Join(folder, "queue.db"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = q.Close() }()
	err = q.Start(ctx, func(_ context.Context, batch queue.Batch) []queue.Outcome {
		outcomes := make([]queue.Outcome, len(batch.Items))
		for i, item := range batch.Items {
			fmt.Println("set", item.Update.Image, "to", item.Update.Version, "on", batch.Branch)
			outcomes[i] = queue.Outcome{Status: queue.Committed}
		}
		return outcomes
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = q.Stop(ctx) }()

	accepted, err := q.Accept(ctx, []queue.Update{{
		ID:      "0192f0c1-2b5c-7c3a-9d4e-5f60718293a4",
		Image:   "ghcr.io/octo-org/app",
		Version: "1.2.3",
		Tasks:   []queue.Task{{Target: "production", Branch: "octo-org/infra@main"}},
	}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(accepted[0].Disposition, accepted[0].Status)
	update, err := q.Wait(ctx, accepted[0].ID)
	fmt.Println(update.Status, err)

	// Unordered output:
	// stored queued
	// set ghcr.io/octo-org/app to 1.2.3 on octo-org/infra@main
	// committed <nil>
}
