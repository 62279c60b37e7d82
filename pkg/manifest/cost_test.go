package manifest_test

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cost"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// attack is a fragment of YAML that is repeated between a head and a tail.
type attack struct {
	name, head, fragment, tail string
}

func (a attack) content(times int) []byte {
	return []byte(a.head + strings.Repeat(a.fragment, times) + a.tail)
}

// attacks are fragments of which each is a field, a node or a text of its own
// kind, so that a list that grows with every one of them would show.
func attacks() []attack {
	const pair, whole = "a:\n  repository: ghcr.io/octo-org/app\n", "image: ghcr.io/octo-org/app:1\n"
	return []attack{
		{"tags of one repository", pair, "  tag: \"1.0\"\n", ""},
		{"tags in flow style", "a: {repository: ghcr.io/octo-org/app", ", tag: v1", "}\n"},
		{"tags with digests", pair, "  tag: v1\n  digest: " + digestA + "\n", ""},
		{"repositories of one tag", "a:\n  tag: v1\n", "  repository: ghcr.io/octo-org/app\n", ""},
		{"images of one tag", "a:\n  tag: v1\n", "  image: ghcr.io/octo-org/app\n", ""},
		{"pairs", "", pair + "  tag: v1\n", ""},
		{"one anchored tag", "x: &t v1\n", "a: {repository: ghcr.io/octo-org/app, tag: *t}\n", ""},
		{"one anchored tag in one pair", "x: &t v1\n" + pair, "  tag: *t\n", ""},
		{"one anchored digest", "x: &d " + digestA + "\n", "a: {repository: ghcr.io/octo-org/app, tag: v1, digest: *d}\n", ""},
		{"one long anchored digest", "x: &d " + strings.Repeat("a", 1<<18) + "\n", "a: {repository: ghcr.io/octo-org/app, tag: v1, digest: *d}\n", ""},
		{"one long anchored tag", "x: &t " + strings.Repeat("a", 1<<18) + "\n", "a: {repository: ghcr.io/octo-org/app, tag: *t}\n", ""},
		{"one long anchored name", "x: &n " + strings.Repeat("a", 1<<18) + "/app\n", "a: {registry: ghcr.io, repository: *n, tag: v1}\ncontainers: {image: *n}\n", ""},
		{"one long anchored key", "x: &k " + strings.Repeat("a", 1<<18) + "Tag\n", "a: {*k : v1, repository: ghcr.io/octo-org/app, tag: v1}\n", ""},
		{"an anchored digest of many images", "x: &d " + digestA + "\n", "a: {repository: x, digest: *d, tag: v1}\nb: {repository: ghcr.io/octo-org/app, tag: v1, digest: *d}\n", ""},
		{"one anchored name", "x: &n ghcr.io/octo-org/app\n", "a: {repository: *n, tag: v1}\n", ""},
		{"parameters", "p:\n", "- {name: image.repository, value: ghcr.io/octo-org/app}\n- {name: image.tag, value: v1}\n", ""},
		{"merged tags", "m: &m {tag: v1}\na:\n  repository: ghcr.io/octo-org/app\n", "  <<: *m\n", ""},
		{"tags in a text", "t: |\n  a:\n    repository: ghcr.io/octo-org/app\n", "    tag: v1\n", ""},
		{"texts", "", "t: |\n  a:\n    repository: ghcr.io/octo-org/app\n    tag: v1\n", ""},
		{"revisions of one artifact", "a:\n  url: oci://ghcr.io/octo-org/app\n", "  targetRevision: v1\n", ""},
		{"tags of one artifact", "a:\n  url: oci://ghcr.io/octo-org/app\n", "  ref: {tag: v1}\n", ""},
		{"kustomize", "images:\n", "- name: ghcr.io/octo-org/app\n  newTag: v1\n", ""},
		{"references in one line", "x: [", "ghcr.io/octo-org/app:1,", "]\n"},
		{"references in a text", "x: |\n", "  ghcr.io/octo-org/app:1 é\n", ""},
		{"references in a quoted text", "x: \"", "ghcr.io/octo-org/app:1\\n", "\"\n"},
		{"addresses", "x: '", "docker://ghcr.io/octo-org/app:1 ", "'\n"},
		{"slashes escaped", whole + "x: '", `\/app:`, "'\n"},
		{"words of one word", whole + "x: ", "-app", "\n"},
		{"braces", whole + "x: '", "{{ ${ ghcr.io/octo-org/app:1 ", "'\n"},
		{"documents", "", whole + "---\n", ""},
		{"comments", whole, "a: 1 # b\n# c\n", ""},
		{"comments in flow style", whole + "x: [\n", "a,\n# c\n", "]\n"},
		{"template lines", "{{ x }}\n", whole, ""},
		{"template comments", "{{ x }}\n", "a: {{/* b */}} ghcr.io/octo-org/app:1 {{ \n", ""},
		{"tied", "", "# versions-service: image ghcr.io/octo-org/app\nx: v1\n", ""},
		{"tied in a text", "x: |\n", "  TAG=1 # versions-service: image ghcr.io/octo-org/app\n", ""},
		{"one tied line", "x: [", "v1, ", "v1] # versions-service: image ghcr.io/octo-org/app\n"},
		{"choices", "x:\n", "- ghcr.io/octo-org/app:1\n- ghcr.io/octo-org/app:2\n", ""},
		{"releases", "apiVersion: v1\nentries:\n  app:\n", "  - {version: 1, urls: [\"oci://ghcr.io/octo-org/app:1\"]}\n", ""},
		{"arguments", "args: [", "-t, \"ghcr.io/octo-org/app:1\", ", "x]\n"},
		{"commands", "stages: []\na: {stage: x}\nrun: |\n", "  docker push ghcr.io/octo-org/app:1 \\\n", ""},
		{"registries", "x: {registry: ghcr.io}\n", "a: {registry: ghcr.io, b: {image: octo-org/app:1}}\n", ""},
		{"nested texts", "x: |\n  y: |\n", "    a: {repository: ghcr.io/octo-org/app, tag: v1}\n", ""},
		{"quoted texts", "", "x: \"repository: ghcr.io/octo-org/app\\ntag: v1\"\n", ""},
		{"templates", "", "a: {{ default \"ghcr.io/octo-org/app:1\" }}\n", ""},
		{"pinned references", "x: &d " + digestA + "\n", "a: {image: \"ghcr.io/octo-org/app:1\", digest: *d}\n", ""},
		{"versions alone", "a: {repository: ghcr.io/octo-org/app}\n---\n", "a: {tag: v1}\n---\n", ""},
		{"tags of one version alone", "a: {repository: ghcr.io/octo-org/app}\n---\na:\n", "  tag: v1\n", ""},
		{"one anchored version alone", "a: {repository: ghcr.io/octo-org/app}\nx: &t v1\nb:\n", "  a: {tag: *t}\n", ""},
		{"merged versions alone", "m: &m {tag: v1}\na: {repository: ghcr.io/octo-org/app}\nb:\n", "  <<: *m\n", ""},
		{"deep places", "", "a: {repository: ghcr.io/octo-org/app, b: {c: {tag: v1}}}\n", ""},
		{"releases of charts", "releases:\n", "- {chart: a, values: [a, b]}\n", ""},
		{"values of one release", "releases:\n- {chart: a, values: [", "a, ", "]}\n"},
		{"one anchored list of values", "x: &v [a, b, c, d]\nreleases:\n", "- {chart: a, values: *v}\n", ""},
		{"sources", "kind: Application\nspec:\n  sources:\n", "  - {repoURL: a, ref: b, path: c, helm: {valueFiles: [$b/a, d]}}\n", ""},
		{"held", pair, "  tag: v1 # versions-service: hold\n", ""},
		{"quotes in a quoted text", whole + "x: 'a", "''", "'\n"},
		{"blank lines of a text", whole + "x: |\n  a\n", " \n", "  b\n"},
	}
}

// allocated returns how many bytes of memory an edit takes in all, freed ones
// included, and how long a processor works for it: that of what the file names, of the
// indexes, and of its versions alone. Nothing else may run beside it.
func allocated(e *manifest.Editor, update manifest.Update, content []byte) (uint64, time.Duration) {
	busy, bytes := cost.Of(func() {
		namings := e.Edit(content).Namings
		manifest.IndexWords(content)
		manifest.IndexPairs(content)
		var overrides []manifest.Override
		asked := map[manifest.Key]bool{}
		for _, n := range namings {
			if !asked[n.Key] {
				asked[n.Key] = true
				overrides = append(overrides, manifest.Override{Key: n.Key, Update: update})
			}
		}
		manifest.EditOverrides("", content, overrides, manifest.Options{})
	})
	return bytes, busy
}

const (
	// few and many are how often the oracle repeats a fragment, and maxGrowth is how
	// much more many may cost: linear cost grows fivefold, quadratic 25-fold.
	few, many, maxGrowth = 1_000, 5_000, 12
	// costFloor is left out of account: below it a fragment does not count.
	costFloor = 1 << 20
	// timeFloor is how long a processor may work for an edit in any case, so that the
	// oracle judges by memory but for what is slow beyond doubt.
	timeFloor = 10 * time.Second
)

// checkCost checks that the cost of a fragment grows with the number of its
// repetitions and no faster. It returns that of many repetitions.
func checkCost(t failer, e *manifest.Editor, update manifest.Update, a attack) uint64 {
	t.Helper()
	fewBytes, fewTime := allocated(e, update, a.content(few))
	manyBytes, manyTime := allocated(e, update, a.content(many))
	if manyBytes > maxGrowth*fewBytes+costFloor {
		t.Fatalf("%q: %d times take %d bytes, %d times %d", a.fragment, few, fewBytes, many, manyBytes)
	}
	if manyTime > maxGrowth*fewTime+timeFloor {
		t.Fatalf("%q: %d times take %v, %d times %v", a.fragment, few, fewTime, many, manyTime)
	}
	return manyBytes
}

// FuzzCost looks for a fragment whose cost grows faster than its repetitions.
func FuzzCost(f *testing.F) {
	for _, a := range attacks() {
		if len(a.head) < 1<<10 && fuzzing() {
			f.Add(a.head, a.fragment, a.tail)
		}
	}
	app := update(f, "ghcr.io/octo-org/app", "v2.0.0")
	e := editor(f, app, update(f, "redis", "8.10", digestB))
	f.Fuzz(func(t *testing.T, head, fragment, tail string) {
		if len(head)+len(tail)+many*len(fragment) > manifest.MaxSize {
			return
		}
		checkCost(t, e, app, attack{head: head, fragment: fragment, tail: tail})
	})
}

// fuzzing reports whether this is a run of -fuzz. In others TestAttacks has tried the
// seeds.
func fuzzing() bool { return flag.Lookup("test.fuzz").Value.String() != "" }

// TestAttacks checks that no file takes more than a bounded amount of memory, whatever
// its size is made of, and that the cost of each fragment is linear. The deadline of
// the tests bounds its time.
//
//nolint:paralleltest // it measures the memory of the process
func TestAttacks(t *testing.T) {
	// maxTaken is the memory in bytes that one file may take in all, freed memory
	// included; the most at one time is about half.
	const maxTaken = 80 * manifest.MaxSize
	app := update(t, "ghcr.io/octo-org/app", "v2.0.0")
	e := editor(t, app, update(t, "redis", "8.10", digestB))
	for i, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			taken := map[int]uint64{many: checkCost(t, e, app, a)}
			if i == 0 {
				for _, times := range []int{8_000, 100_000} {
					taken[times], _ = allocated(e, app, a.content(times))
				}
			}
			for times, bytes := range taken {
				if size := len(a.content(times)); size > manifest.MaxSize {
					t.Errorf("%d bytes are refused by their number", size)
				}
				if bytes > maxTaken {
					t.Errorf("%d times take %d MB of memory", times, bytes>>20)
				}
			}
		})
	}
}
