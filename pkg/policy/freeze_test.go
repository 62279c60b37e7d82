package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func window(t testing.TB, schedule string, lasts time.Duration, in string) policy.Window {
	t.Helper()
	w, err := policy.NewWindow(schedule, lasts, zone(t, in), "because of "+schedule)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFreezeAt(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	weekend := policy.Freeze{Windows: []policy.Window{window(t, "0 18 * * 5", 62*hour, "Europe/Berlin")}} // Friday evening to Monday morning
	days := policy.Freeze{Windows: []policy.Window{window(t, "0 0 * * 6,0", 24*hour, "UTC")}}
	night := policy.Freeze{Windows: []policy.Window{window(t, "30 2 * * *", 90*time.Minute, "Europe/Berlin")}}
	year := policy.Freeze{Windows: []policy.Window{window(t, "0 0 20 12 *", 14*24*hour, "UTC"), window(t, "0 0 2 1 *", 2*24*hour, "UTC")}}
	day := policy.Freeze{Windows: []policy.Window{window(t, "0 0 13 * 5", hour, "UTC")}} // the 13th, and each Friday
	leap := policy.Freeze{Windows: []policy.Window{window(t, "0 0 29 2 *", hour, "UTC")}}
	for name, test := range map[string]struct {
		freeze policy.Freeze
		now    string
		until  string // "" when it is not frozen
	}{
		"before":                         {weekend, "2026-11-27T16:59:59Z", ""},
		"the first moment":               {weekend, "2026-11-27T17:00:00Z", "2026-11-30T07:00:00Z"},
		"within":                         {weekend, "2026-11-29T12:00:00Z", "2026-11-30T07:00:00Z"},
		"the end":                        {weekend, "2026-11-30T07:00:00Z", ""},
		"the clock goes back":            {weekend, "2026-10-24T12:00:00Z", "2026-10-26T06:00:00Z"}, // 18:00 by summer time, and 62 hours
		"in summer":                      {weekend, "2026-07-03T16:00:00Z", "2026-07-06T06:00:00Z"},
		"windows that follow each other": {days, "2026-11-28T01:00:00Z", "2026-11-30T00:00:00Z"},
		"the hour that is skipped":       {night, "2026-03-29T01:30:00Z", "2026-03-29T03:00:00Z"}, // 02:30 is not there: 03:30 it is
		"before the hour is skipped":     {night, "2026-03-29T01:29:59Z", ""},
		"the hour that comes twice":      {night, "2026-10-25T01:29:00Z", "2026-10-25T03:00:00Z"},
		"over the turn of the year":      {year, "2026-12-31T23:00:00Z", "2027-01-04T00:00:00Z"},
		"a day of the month":             {day, "2026-10-13T00:30:00Z", "2026-10-13T01:00:00Z"},
		"a day of the week":              {day, "2026-10-16T00:30:00Z", "2026-10-16T01:00:00Z"},
		"neither":                        {day, "2026-10-15T00:30:00Z", ""},
		"the 29th of February":           {leap, "2028-02-29T00:30:00Z", "2028-02-29T01:00:00Z"},
		"never":                          {policy.Freeze{}, "2026-11-29T12:00:00Z", ""},
	} {
		frozen, ok := test.freeze.At(at(t, test.now))
		got := ""
		if ok {
			got = frozen.Until.UTC().Format(time.RFC3339)
		}
		if got != test.until {
			t.Errorf("%s: frozen until %q, want %q", name, got, test.until)
		}
		if ok && !strings.HasPrefix(frozen.Reason, "because of ") {
			t.Errorf("%s: reason %q", name, frozen.Reason)
		}
	}
	if frozen, ok := (policy.Freeze{Reason: "audit", Windows: days.Windows}).At(at(t, "2026-11-28T01:00:00Z")); !ok || frozen != (policy.Frozen{Reason: "audit"}) {
		t.Errorf("a freeze without an end: %+v, %t", frozen, ok)
	}
}

func TestNewWindowRefuses(t *testing.T) {
	t.Parallel()
	for schedule, test := range map[string]struct {
		lasts       time.Duration
		field, want string
	}{
		"":                                       {time.Hour, "schedule", "five fields"},
		"@daily":                                 {time.Hour, "schedule", "five fields"},
		"@every 1h":                              {time.Hour, "schedule", "five fields"},
		"0 0 * *":                                {time.Hour, "schedule", "five fields"},
		"0 0 0 * * *":                            {time.Hour, "schedule", "five fields"},
		"0 25 * * *":                             {time.Hour, "schedule", "five fields"},
		"TZ=UTC 0 0 * * *":                       {time.Hour, "schedule", "timezone has it"},
		"0 0 31 2 *":                             {time.Hour, "schedule", "never begins"},
		"0 0 30 2 *":                             {time.Hour, "schedule", "never begins"},
		"0 * * * *":                              {2 * time.Hour, "duration", "longer than the 1h0m0s"},
		"0 9 * * 1,2":                            {30 * time.Hour, "duration", "longer than the 24h0m0s"},
		"0 0 13 * 5":                             {30 * time.Hour, "duration", "longer than the 24h0m0s"},
		"0 0 * * *":                              {24 * time.Hour, "duration", "never ends"},
		"* * * * *":                              {time.Minute, "duration", "never ends"},
		"0 0 1 * *":                              {29 * 24 * time.Hour, "duration", "longer than the 672h0m0s"},
		strings.Repeat("0,", 2000) + "0 0 * * *": {time.Hour, "schedule", "five fields"},
	} {
		_, err := policy.NewWindow(schedule, test.lasts, time.UTC, "r")
		var wrong *policy.WindowError
		if !errors.As(err, &wrong) || wrong.Field != test.field || !strings.Contains(wrong.Detail, test.want) {
			t.Errorf("%.40q for %s: %v, want %s with %q", schedule, test.lasts, err, test.field, test.want)
		}
	}
}

// A window is open from a begin until its duration is over, in every zone and over every
// change of the clock: compared with the begins themselves, one by one.
func TestWindowIsOpenAfterItsBegins(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"}
	rapid.Check(t, func(t *rapid.T) {
		in, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		hour := rapid.IntRange(5, 22).Draw(t, "hour") // outside of the hours that are skipped or come twice
		lasts := time.Duration(rapid.IntRange(1, 23*60).Draw(t, "minutes")) * time.Minute
		w, err := policy.NewWindow("30 "+time.Date(0, 1, 1, hour, 0, 0, 0, time.UTC).Format("15")+" * * *", lasts, in, "r")
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_600_000_000, 2_000_000_000).Draw(t, "now"), 0)
		want := false
		for back := -1; back <= 2; back++ {
			local := now.In(in)
			begin := time.Date(local.Year(), local.Month(), local.Day()-back, hour, 30, 0, 0, in)
			want = want || !begin.After(now) && begin.Add(lasts).After(now)
		}
		if _, got := (policy.Freeze{Windows: []policy.Window{w}}).At(now); got != want {
			t.Fatalf("%s in %s, %d:30 for %s: frozen %t, want %t", now, in, hour, lasts, got, want)
		}
	})
}

func FuzzNewWindow(f *testing.F) {
	for _, seed := range []string{"0 0 * * *", "*/5 1-3 1,2 JAN MON#1", "0 0 L * *", "@every 1h", "H H * * *", "0 0 29 2 *", "CRON_TZ=UTC * * * * *"} {
		f.Add(seed, int64(time.Hour))
	}
	now := time.Date(2026, time.November, 25, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, schedule string, lasts int64) {
		if lasts <= 0 {
			return
		}
		w, err := policy.NewWindow(schedule, time.Duration(lasts), time.UTC, "r")
		if err != nil {
			return
		}
		if frozen, ok := (policy.Freeze{Windows: []policy.Window{w}}).At(now); ok && !frozen.Until.After(now) {
			t.Errorf("%q: frozen until %s, which is past", schedule, frozen.Until)
		}
	})
}

func BenchmarkFreeze(b *testing.B) {
	var f policy.Freeze
	for range 20 {
		f.Windows = append(f.Windows, window(b, "0 0 29 2 *", time.Hour, "Europe/Berlin"))
	}
	now := time.Date(2026, time.November, 25, 12, 0, 0, 0, time.UTC)
	for b.Loop() {
		f.At(now)
	}
}
