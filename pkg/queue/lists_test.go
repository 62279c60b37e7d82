package queue_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

// fillHistory stores ended updates of seven images, one in a hundred of them failed, and one
// in ten with a second image.
func fillHistory(t testing.TB, w *world, rows int) {
	t.Helper()
	const step = 20_000 // of one transaction
	for from := 0; from < rows; from += step {
		for _, statement := range []string{
			`INSERT INTO versions_update (id, image, version, digest, scope, caller, webhook, delivery_id, pushed_at, absent_as,
					status, accepted_at, finished_at, recorded, bytes)
				WITH RECURSIVE many(i) AS (SELECT CAST($1 AS bigint) + 1 UNION ALL SELECT i + 1 FROM many WHERE i < CAST($2 AS bigint))
				SELECT 'id-' || i, 'app-' || (i % 7), '1', '', '', 'ci', '', '', i, 'unchanged',
					CASE WHEN i % 100 = 0 THEN 'failed' ELSE 'committed' END, i, i, 0, 1024 FROM many`,
			`INSERT INTO versions_task (seq, n, image, scope, pushed_at, target, branch, status, attempts, queued_at, next_at, claim,
					last_error, result, finished_at)
				SELECT seq, 0, image, '', pushed_at, 'infra', 'octo-org/infra@main', status, 1, seq, 0, '', '', NULL, finished_at
				FROM versions_update WHERE seq > $1 AND seq <= $2`,
			`INSERT INTO versions_task (seq, n, image, scope, pushed_at, target, branch, status, attempts, queued_at, next_at, claim,
					last_error, result, finished_at, beside, update_status)
				SELECT seq, 1, 'app-0', '', pushed_at, 'infra', 'octo-org/infra@main', status, 1, seq, 0, '', '', NULL, finished_at, 1, status
				FROM versions_update WHERE seq > $1 AND seq <= $2 AND seq % 10 = 0`,
		} {
			if err := w.Exec(t.Context(), statement, from, min(from+step, rows)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, table := range []string{"versions_update", "versions_task"} {
		if err := w.Exec(t.Context(), `ANALYZE `+table); err != nil {
			t.Fatal(err)
		}
	}
}

// filters are all combinations of filters.
func filters() map[string]queue.Filter {
	found := map[string]queue.Filter{}
	for _, image := range []string{"", "app-0"} {
		for _, status := range []queue.Status{"", queue.Queued, queue.Committed, queue.Failed, queue.Held} {
			found[fmt.Sprintf("image=%s status=%s", image, status)] = queue.Filter{Image: image, Status: status}
		}
	}
	return found
}

// wholeTable is a line of a plan that reads a table or an index from one end to the other.
var wholeTable = regexp.MustCompile(`Seq Scan on versions_|SCAN (u|t|f|versions_\w+)$|SCAN (u|t|f|versions_\w+) USING .*INDEX sqlite_autoindex`)

// Neither a list of any filter nor a count reads what it does not tell of.
func TestPlans(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		fillHistory(t, w, 20_000)
		for name, filter := range filters() {
			plan, err := w.Plan(t.Context(), filter)
			if err != nil {
				t.Fatal(err)
			}
			first := name == "image= status=" // the latest of all are the table's own end
			if n := slices.IndexFunc(plan, wholeTable.MatchString); n >= 0 && !first {
				t.Errorf("%s reads the whole table:\n%s", name, strings.Join(plan, "\n"))
			}
		}
		for name, query := range map[string]string{"versions_update_failed": queue.FailedCount, "versions_task_queued": queue.WaitingCount} {
			plan, err := w.Explain(t.Context(), query)
			if err != nil || !strings.Contains(strings.Join(plan, "\n"), name) {
				t.Errorf("%s is not used: %v\n%s", name, err, strings.Join(plan, "\n"))
			}
		}
	})
}

// A list by image and status has the updates of several images too, the latest first, and
// goes on where the page before ended.
func TestListByImageAndStatus(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := open(t, storeURL)
		fillHistory(t, w, 1_000)
		for name, filter := range filters() {
			var want, got []string
			for i := 1_000; i > 0; i-- {
				failed := i%100 == 0
				named := filter.Image == "" || i%7 == 0 || i%10 == 0
				ended := filter.Status == "" || filter.Status == queue.Failed && failed || filter.Status == queue.Committed && !failed
				if named && ended {
					want = append(want, fmt.Sprint("id-", i))
				}
			}
			filter.Limit = 150
			for pages := 0; ; pages++ {
				page, err := w.List(t.Context(), filter)
				if err != nil || pages > 10 {
					t.Fatalf("%s: page %d: %v", name, pages, err)
				}
				for _, u := range page.Updates {
					got = append(got, u.ID)
				}
				if filter.Cursor = page.Next; filter.Cursor == "" {
					break
				}
			}
			diff(t, name, want, got)
		}
	})
}

// A page ends early when what is stored of its updates is large, and the next one goes on.
func TestPageIsBoundedInBytes(t *testing.T) {
	onStores(t, func(t *testing.T, storeURL string) {
		w := start(t, storeURL)
		large := []byte(strings.Repeat("x", 700<<10))
		w.worker.becomes(func(queue.Item) queue.Outcome { return queue.Outcome{Status: queue.Committed, Result: large} })
		var want []string
		for n := range 7 {
			id := w.stored(update(fmt.Sprint("app-", n), "1"))
			w.ends(id, queue.Committed)
			want = append([]string{id}, want...)
		}
		var got, sizes []string
		for filter := (queue.Filter{}); ; {
			page, err := w.List(t.Context(), filter)
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, fmt.Sprint(len(page.Updates)))
			for _, u := range page.Updates {
				got = append(got, u.ID)
			}
			if filter.Cursor = page.Next; filter.Cursor == "" {
				break
			}
		}
		diff(t, "updates", want, got)
		diff(t, "pages", []string{"2", "2", "2", "1"}, sizes)
	})
}

// BenchmarkLists is the time of the slowest list, and of the counts, at two sizes of the
// history.
func BenchmarkLists(b *testing.B) {
	for name, store := range map[string]func(testing.TB) string{"sqlite": sqliteURL, "postgres": postgresURL} {
		for _, rows := range []int{10_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/rows=%d", name, rows), func(b *testing.B) {
				w := open(b, store(b))
				fillHistory(b, w, rows)
				var slowest, counts time.Duration
				for b.Loop() {
					for _, filter := range filters() {
						begin := time.Now()
						if _, err := w.List(b.Context(), filter); err != nil {
							b.Fatal(err)
						}
						slowest = max(slowest, time.Since(begin))
					}
					begin := time.Now()
					if _, err := w.Stats(b.Context()); err != nil {
						b.Fatal(err)
					}
					counts = max(counts, time.Since(begin))
				}
				b.ReportMetric(float64(slowest.Microseconds())/1000, "slowest-list-ms")
				b.ReportMetric(float64(counts.Microseconds())/1000, "counts-ms")
			})
		}
	}
}
