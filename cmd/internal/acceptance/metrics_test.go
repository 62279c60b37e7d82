package acceptance_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/pages"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// metric is what the page says of one, and what /metrics shows.
type metric struct{ Type, Labels string }

// metricRow is a row of the page's table.
var metricRow = regexp.MustCompile("(?m)^\\| `(versions_service_[a-z_]+)` \\| (\\w+) \\| ([^|]+) \\| [^|]+ \\|$")

// TestMetricsAreDocumented compares the table of metrics with what a service shows of
// which everything was asked once.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := pages.Read("../../..", "k8s/README.md")
	if err != nil {
		t.Fatal(err)
	}
	section, _ := page.Section("metrics")
	documented := map[string]metric{}
	for _, row := range metricRow.FindAllStringSubmatch(section.Text, -1) {
		labels := strings.Split(strings.Trim(strings.ReplaceAll(row[3], "`", ""), "–"), ", ")
		slices.Sort(labels)
		documented[row[1]] = metric{row[2], strings.Join(labels, ", ")}
	}

	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	t.Cleanup(away.Close)
	w := prepare(t, withEnv("AUTH", ""), withEnv("API_TOKENS", "ci="+callerToken), withEnv("WEBHOOK_GHCR_SECRET", hookSecret),
		withConfig("notify:\n"+toInbox("chat", away.URL, "")))
	ends := time.Now().Add(30 * 24 * time.Hour).Truncate(time.Second)
	w.hub.AddToken(githubToken, sandbox.Token{Name: "service", Expires: ends})
	w.run()
	as := []string{"Authorization", "Bearer " + callerToken}
	w.post(mission)
	if r := w.post(mission, as...); r.status != http.StatusCreated {
		t.Fatalf("%d: %s", r.status, r.body)
	}
	stored := w.post(`{"image": "`+worker+`", "version": "v1"}`, append(as, "Prefer", "respond-async")...)
	w.ended(stored.update.Id, as...)
	w.deliver("ghcr", "{}", "Content-Type", "application/json")
	w.reaches(`versions_service_notifications_total{endpoint="chat",outcome="failed"}`, 1)

	text := w.get("/metrics").body
	if diff := cmp.Diff(documented, shown(t, strings.NewReader(text))); diff != "" {
		t.Errorf("k8s/README.md and /metrics (-page +shown):\n%s", diff)
	}
	families, err := newTextParser().TextToMetricFamilies(strings.NewReader(text))
	w.must(err)
	if got := families["versions_service_github_credential_expiry_timestamp_seconds"].GetMetric()[0].GetGauge().GetValue(); int64(got) != ends.Unix() {
		t.Errorf("the credential ends at %v, want %d", got, ends.Unix())
	}

	w.hub.AddToken(githubToken, sandbox.Token{Name: "service"}) // it was given another end: none
	w.post(`{"image": "`+worker+`", "version": "v2"}`, as...)
	if strings.Contains(w.get("/metrics").body, "versions_service_github_credential_expiry_timestamp_seconds ") {
		t.Error("a credential without an end has one")
	}
}

// reaches waits until a metric has that value or more.
func (w *world) reaches(metric string, value float64) {
	w.t.Helper()
	shown := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(metric) + ` (\S+)$`)
	for deadline := time.Now().Add(patience); ; <-time.After(betweenLooks) {
		text := w.get("/metrics").body
		if now := shown.FindStringSubmatch(text); now != nil {
			is, err := strconv.ParseFloat(now[1], 64)
			w.must(err)
			if is >= value {
				return
			}
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s never reaches %v\n%s", metric, value, text)
		}
	}
}

func newTextParser() *expfmt.TextParser {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return &parser
}

// shown are the metrics of the service in an exposition.
func shown(t *testing.T, text io.Reader) map[string]metric {
	t.Helper()
	families, err := newTextParser().TextToMetricFamilies(text)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]metric{}
	for name, family := range families {
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		var labels []string
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(labels, l.GetName()) {
					labels = append(labels, l.GetName())
				}
			}
		}
		slices.Sort(labels)
		all[name] = metric{strings.ToLower(family.GetType().String()), strings.Join(labels, ", ")}
	}
	return all
}
