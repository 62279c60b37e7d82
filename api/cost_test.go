package api_test

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// FuzzCost repeats a fragment of a request's body 1,000 and 4,000 times: memory and
// time are linear in it, and the answer stays short.
func FuzzCost(f *testing.F) {
	f.Add(`{`, `"a":1,`, `"image":"nginx","version":"1"}`)
	f.Add(`{"image":"nginx","version":"1","paths":[`, `"apps/**",`, `"a"]}`)
	f.Add(`{"image":"nginx","version":"1","paths":["`, `*a`, `"]}`)
	f.Add(`{"image":"nginx","version":"1","paths":["`, `{a,b}`, `"]}`)
	f.Add(`{"image":"nginx","version":"1","message":"`, `a: b\n\n`, `"}`)
	f.Add(`{"image":"nginx","version":"1","message":"`, `\n---\n`, `"}`)
	f.Add(`{"image":"nginx","version":"1","message":"`, `x://a:`, `"}`)
	f.Add(`{"image":"`, `a/`, `","version":"1"}`)
	f.Add(`{"image":"nginx","version":"1","source":{`, `"a":{},`, `"url":"https://example.com"}}`)
	f.Add(``, `[`, ``)
	f.Add(`{"x":`, `{"x":`, `1`)
	f.Add(`{"a`, `~`, `":1}`)
	server := newServer(f, quiet, unchanged)
	f.Fuzz(func(t *testing.T, prefix, fragment, suffix string) {
		if len(prefix)+len(suffix) > 4<<10 || len(fragment) > 200 {
			return // more than a body may have
		}
		take := func(times int) (uint64, time.Duration) {
			body := prefix + strings.Repeat(fragment, times) + suffix
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			r := post(server, body)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if r.Code >= 300 && r.Body.Len() > 8<<10 {
				t.Errorf("a refusal of %d bytes", r.Body.Len())
			}
			return after.TotalAlloc - before.TotalAlloc, took
		}
		// The floor forgives what is small, and a pause.
		const growth, floorBytes, floorTime = 10, 2 << 20, time.Second
		var few, many uint64
		var fewTime, manyTime time.Duration
		for range 3 {
			few, fewTime = take(1000)
			many, manyTime = take(4000)
			if many <= growth*few+floorBytes && manyTime <= growth*fewTime+floorTime {
				return
			}
		}
		t.Errorf("%q: %d bytes in %s, and %d bytes in %s for four times as much", fragment, few, fewTime, many, manyTime)
	})
}
