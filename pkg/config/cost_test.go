package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/cost"
)

const (
	// few and many are how often the oracle repeats a fragment, and maxGrowth is how
	// much more many may cost: linear cost grows fourfold, quadratic sixteenfold.
	few, many, maxGrowth = 1_000, 4_000, 10
	// costFloor, in bytes, and timeFloor are what a file may cost in any case.
	costFloor = 1 << 20
	timeFloor = 500 * time.Millisecond
)

// repeated is a file of a head, a fragment that comes many times, and a tail.
type repeated struct{ head, fragment, tail string }

func (r repeated) content(times int) []byte {
	return []byte(r.head + strings.Repeat(r.fragment, times) + r.tail)
}

// growing are files that could cost more than their length: things that are
// compared with each other, nested, or reported.
func growing() []repeated {
	return []repeated{
		{"targets:\n", "- repository: o/r\n", ""},
		{"targets:\n", "- {repository: o/r, nam: x}\n", ""},
		{"targets:\n- repository: o/r\n  images: [", "nginx,", "nginx]\n"},
		{"targets:\n- repository: o/r\n  paths: {include: [", "'{a,b}*{c,d}/**',", "a]}\n"},
		{"targets:\n- repository: o/r\n  message: '", "{image}", "'\n"},
		{"webhooks:\n", "- {name: a, kind: ghcr, secrets: [{value: s}]}\n", ""},
		{"webhooks:\n- name: a\n  kind: ghcr\n  secrets: [", "{value: s},", "{value: s}]\n"},
		{"webhooks:\n- name: a\n  kind: ghcr\n  secrets: [{value: s}]\n  targets: [", "b,", "c]\n"},
		{"webhooks:\n- name: a\n  kind: ghcr\n  secrets: [{value: s}]\n  rewrite: [", "{from: a, to: b},", "{from: a, to: b}]\n"},
		{"targets:\n- repository: o/r\n  freeze: [", "{schedule: '0 0 29 2 *', duration: 1h},", "{schedule: '0 0 29 2 *', duration: 1h}]\n"},
		{"registries: [", "{host: a.b},", "{host: a.b}]\n"},
		{"rules:\n", "- {name: r, callers: [a], images: [nginx], targets: [t]}\n", ""},
		{"rules:\n- name: r\n  callers: [", "a,", "a]\n  images: [nginx]\n"},
		{"rules:\n- name: r\n  callers: [a]\n  images: [", "'ghcr.io/${repository}/**',", "nginx]\n"},
		{"rules:\n- name: r\n  callers: [a]\n  images: ['ghcr.io/", "${repository}/", "a']\n"},
		{"rules:\n- name: r\n  callers: [a]\n  images: ['ghcr.io/", "{a,b}", "']\n"},
		{"rules:\n- name: r\n  callers: [a]\n  images: [nginx]\n  targets: [", "t,", "t]\n"},
		{"rules:\n- name: r\n  callers: [a]\n  images: [nginx]\n  versions: {semver: '", ">=1.0.0,", ">=1.0.0'}\n"},
		{"rules:\n- name: r\n  callers: [a]\n  images: [nginx]\n  versions: {regexp: '", "(a|b)*", "'}\n"},
		{"callers:\n- name: a\n  oidc: {issuer: github, claims: {sub: [", "'x*',", "y]}}\n"},
		{"callers:\n- name: a\n  tokens: [", "{sha256: a},", "{sha256: b}]\n"},
		{"callers:\n- name: a\n  oidc: {issuer: github, claims: {", "sub: x, ", "sub: x}}\n"},
		{"", "a: 1\n", ""},
		{"", "? ", ""},
		{"", "[", ""},
		{"", "{a: ", ""},
		{"", "- ", ""},
		{"", "&a *a ", ""},
		{"queue: {", "retention: 1h, ", "retention: 1h}\n"},
		{"#", "#", "\n"},
		{"", "\n", "targets: []\n"},
		{"a: |\n", " x\n", ""},
	}
}

// parseCost is what a file takes of memory, freed memory included, and of the processor:
// the least of three, since garbage may be collected beside one.
func parseCost(content []byte) (bytes uint64, busy time.Duration) {
	for i := range 3 {
		worked, taken := cost.Of(func() { _, _ = config.Parse("config.yaml", content, lookups()) })
		if i == 0 || taken < bytes {
			bytes = taken
		}
		if i == 0 || worked < busy {
			busy = worked
		}
	}
	return bytes, busy
}

func checkCost(t *testing.T, r repeated) {
	t.Helper()
	fewBytes, fewTime := parseCost(r.content(few))
	manyBytes, manyTime := parseCost(r.content(many))
	if manyBytes > maxGrowth*fewBytes+costFloor {
		t.Errorf("%q: %d times take %d bytes, %d times %d", r.fragment, few, fewBytes, many, manyBytes)
	}
	if manyTime > maxGrowth*fewTime+timeFloor {
		t.Errorf("%q: %d times take %s, %d times %s", r.fragment, few, fewTime, many, manyTime)
	}
}

// TestCostIsLinear holds the fragments that the oracle begins with.
//
//nolint:paralleltest // it measures the memory of the process
func TestCostIsLinear(t *testing.T) {
	for _, r := range growing() {
		checkCost(t, r)
	}
}

// FuzzCost looks for a fragment whose cost grows faster than its repetitions.
func FuzzCost(f *testing.F) {
	for _, r := range growing() {
		f.Add(r.head, r.fragment, r.tail)
	}
	f.Fuzz(func(t *testing.T, head, fragment, tail string) {
		if len(head)+len(tail)+many*len(fragment) > config.MaxSize {
			return
		}
		checkCost(t, repeated{head, fragment, tail})
	})
}
