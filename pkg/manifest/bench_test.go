package manifest_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// The corpus looks like a large infrastructure repository: 10,000 files with
// about 100 MB, of which one in a hundred names the image and one in twenty is a
// template that no parser takes.
const (
	corpusFiles     = 10_000
	corpusHitEvery  = 100
	corpusTmplEvery = 20
	corpusImage     = "ghcr.io/octo-org/shop/checkout-api"
	corpusAbsent    = "ghcr.io/octo-org/shop/absent-api"
)

var corpus = sync.OnceValue(func() [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	files := make([][]byte, corpusFiles)
	for i := range files {
		files[i] = corpusFile(random, i)
	}
	return files
})

// corpusFile writes one file of Deployments, ConfigMaps and values.
func corpusFile(random *rand.Rand, i int) []byte {
	words := strings.Fields("api web worker cache queue mail search billing cart catalog auth gateway report image orders users stock price proxy sync")
	word := func() string { return words[random.IntN(len(words))] + "-" + words[random.IntN(len(words))] }
	var b bytes.Buffer
	size := 2_000 + random.IntN(16_000)
	for n := 0; b.Len() < size; n++ {
		if n > 0 {
			b.WriteString("---\n")
		}
		name := word()
		image := fmt.Sprintf("ghcr.io/octo-org/%s/%s:%d.%d.%d", word(), name, random.IntN(9), random.IntN(30), random.IntN(9))
		if n == 0 && i%corpusHitEvery == 0 {
			image = corpusImage + ":1.0.0"
		}
		fmt.Fprintf(&b, "# %s is owned by the %s team\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: %s\n  labels:\n    app.kubernetes.io/name: %s\n    app.kubernetes.io/part-of: shop\n", name, word(), name, name)
		fmt.Fprintf(&b, "spec:\n  replicas: %d\n  selector:\n    matchLabels: {app.kubernetes.io/name: %s}\n  template:\n    spec:\n", random.IntN(9), name)
		if n == 0 && i%corpusTmplEvery == 7 {
			b.WriteString("      {{- with .Values.affinity }}\n      affinity: {{ toYaml . | nindent 8 }}\n      {{- end }}\n")
		}
		fmt.Fprintf(&b, "      containers:\n        - name: %s\n          image: %s\n          args: [\"--listen=:8080\", \"--upstream=http://%s.shop.svc:8080\"]\n          env:\n", name, image, word())
		for range 5 + random.IntN(20) {
			fmt.Fprintf(&b, "            - name: %s\n              value: \"https://%s.example.com/%s?x=%d\"\n", strings.ToUpper(strings.ReplaceAll(word(), "-", "_")), word(), word(), random.IntN(1e6))
		}
		b.WriteString("          resources:\n            requests: {cpu: 100m, memory: 128Mi}\n            limits: {memory: 256Mi}\n          readinessProbe:\n            httpGet:\n              path: /healthz\n              port: 8080\n")
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  app.conf: |\n", name)
		for range 5 + random.IntN(20) {
			fmt.Fprintf(&b, "    %s = %d # %s\n", word(), random.IntN(1e6), word())
		}
	}
	return b.Bytes()
}

// ways returns the things that are compared over one file.
func ways(t testing.TB) []way {
	t.Helper()
	hit := editor(t, update(t, corpusImage, "2.0.0"))
	miss := editor(t, update(t, corpusAbsent, "2.0.0"))
	words := make(map[*byte]manifest.Words, corpusFiles)
	for _, f := range corpus() {
		words[&f[0]] = manifest.IndexWords(f)
	}
	name, absent := []byte(corpusImage), []byte(corpusAbsent)
	return []way{
		{"read for the first time, 1 % of the files match", func(f []byte) {
			if hit.MayMatch(manifest.IndexWords(f)) && hit.Mentions(f) {
				hit.Edit(f)
			}
		}},
		{"Edit, 1 % of the files match", func(f []byte) { hit.Edit(f) }},
		{"Edit, nothing matches", func(f []byte) { miss.Edit(f) }},
		{"MayMatch on indexed words", func(f []byte) { miss.MayMatch(words[&f[0]]) }},
		{"IndexWords", func(f []byte) { manifest.IndexWords(f) }},
		{"bytes.Contains, 1 % of the files match", func(f []byte) { bytes.Contains(f, name) }},
		{"bytes.Contains, nothing matches", func(f []byte) { bytes.Contains(f, absent) }},
		{"parse every file", func(f []byte) { parseAll(f) }},
		{"parse and re-encode every file", reencode},
	}
}

type way struct {
	name string
	run  func(file []byte)
}

func parseAll(content []byte) (docs []yaml.Node) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var doc yaml.Node
		if err := decoder.Decode(&doc); err != nil {
			return docs
		}
		docs = append(docs, doc)
	}
}

func reencode(content []byte) {
	docs := parseAll(content)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	for i := range docs {
		_ = encoder.Encode(&docs[i])
	}
	_ = encoder.Close()
}

// BenchmarkCorpus measures each way over the whole corpus, for benchstat.
func BenchmarkCorpus(b *testing.B) {
	for _, w := range ways(b) {
		b.Run(strings.ReplaceAll(strings.ReplaceAll(w.name, ",", ""), " %", "%"), func(b *testing.B) {
			b.SetBytes(int64(corpusSize()))
			b.ReportAllocs()
			for b.Loop() {
				for _, f := range corpus() {
					w.run(f)
				}
			}
		})
	}
}

// BenchmarkTable measures each way a few times and prints a table of the best
// runs with ratios. One iteration (-benchtime 1x) is enough.
func BenchmarkTable(b *testing.B) {
	all := ways(b)
	best := make([]time.Duration, len(all))
	for b.Loop() {
		for i, w := range all {
			best[i] = bestTime(w)
		}
	}
	parse, scan := best[len(all)-2], best[len(all)-3]
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\n%d files, %.0f MB\tms\tMB/s\ttimes the speed of parsing\ttimes the time of bytes.Contains\t\n", corpusFiles, float64(corpusSize())/1e6)
	for i, w := range all {
		fmt.Fprintf(table, "%s\t%.1f\t%.0f\t%.1f\t%.1f\t\n", w.name, best[i].Seconds()*1e3,
			float64(corpusSize())/1e6/best[i].Seconds(), parse.Seconds()/best[i].Seconds(), best[i].Seconds()/scan.Seconds())
	}
	if err := table.Flush(); err != nil {
		b.Fatal(err)
	}
}

// bestTime runs a way over the corpus up to five times, but slow ones less often.
func bestTime(w way) time.Duration {
	best := time.Duration(1 << 62)
	begin := time.Now()
	for run := 0; run == 0 || run < 5 && time.Since(begin) < 2*time.Second; run++ {
		start := time.Now()
		for _, f := range corpus() {
			w.run(f)
		}
		best = min(best, time.Since(start))
	}
	return best
}

func corpusSize() (size int) {
	for _, f := range corpus() {
		size += len(f)
	}
	return size
}
