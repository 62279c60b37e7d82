package policy

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	cron "github.com/netresearch/go-cron"
)

// Freeze holds the times at which nothing is written to a target. Its zero value is
// never. It is immutable and safe for concurrent use.
type Freeze struct {
	// Reason freezes the target without an end, unless it is "".
	Reason  string
	Windows []Window
}

// Frozen is the answer of a Freeze to a time at which nothing is written.
type Frozen struct {
	Reason string
	// Until is the end; zero when it is not known. Windows that follow each other count
	// as one, up to maxChain of them.
	Until time.Time
}

// maxChain bounds the windows that follow each other of which the last end is looked
// for.
const maxChain = 10

// At reports whether nothing is written now. Its cost does not depend on how long ago a
// window began.
func (f Freeze) At(now time.Time) (Frozen, bool) {
	if f.Reason != "" {
		return Frozen{Reason: f.Reason}, true
	}
	window, until := f.open(now)
	if window == nil {
		return Frozen{}, false
	}
	for range maxChain {
		next, end := f.open(until)
		if next == nil {
			break
		}
		until = end
	}
	return Frozen{Reason: window.reason, Until: until}, true
}

// open returns the window that is open at a time and ends last, and its end; nil for
// none.
func (f Freeze) open(at time.Time) (window *Window, end time.Time) {
	for i := range f.Windows {
		if e, ok := f.Windows[i].openAt(at); ok && e.After(end) {
			window, end = &f.Windows[i], e
		}
	}
	return window, end
}

// Window is a span of time that begins again and again. It is immutable and safe for
// concurrent use.
type Window struct {
	begins cron.SpecSchedule
	lasts  time.Duration
	reason string
}

// Limits of a window.
const (
	// maxSearch is how many years a schedule may pass without a begin; the 29th of
	// February is at most eight years away.
	maxSearch = 10
	// maxBegins and maxSpan bound the begins that are looked at for the distance of
	// two; days and weekdays repeat after 28 years.
	maxBegins = 2000
	maxSpan   = 28 * 366 * 24 * time.Hour
)

// WindowError is a window that cannot be meant.
type WindowError struct {
	Field  string // schedule or duration
	Detail string
}

// Error returns the detail.
func (e *WindowError) Error() string { return e.Detail }

var cronParser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom).WithMaxSearchYears(maxSearch)

// NewWindow returns the window that begins by a schedule of five fields, as in
// crontab(5), in a time zone, and lasts for a positive time, counted by the
// time that passes, not by the zone's clock. A begin that the zone skips in spring is an
// hour later. The error is a *WindowError.
func NewWindow(schedule string, lasts time.Duration, zone *time.Location, reason string) (Window, error) {
	if strings.Contains(schedule, "TZ=") {
		return Window{}, &WindowError{"schedule", "names a time zone: timezone has it"}
	}
	parsed, err := cronParser.Parse(schedule)
	spec, ok := parsed.(*cron.SpecSchedule)
	if err != nil || !ok {
		return Window{}, &WindowError{"schedule", `is no schedule of five fields, such as "0 18 * * 5": minute, hour, day, month, weekday`}
	}
	w := Window{begins: *spec, lasts: lasts, reason: cmp.Or(reason, "the window that begins at "+schedule)}
	shortest, longest, ok := w.distances()
	switch {
	case !ok:
		return Window{}, &WindowError{"schedule", "never begins: no month has that day"}
	case lasts > shortest:
		return Window{}, &WindowError{"duration", fmt.Sprintf("is longer than the %s until the window begins again", shortest)}
	case lasts >= longest:
		return Window{}, &WindowError{"duration", "never ends, since the next window begins then: frozen says so"}
	}
	w.begins.Location = zone
	return w, nil
}

// openAt returns the end of the window that is open at a time, and reports whether one
// is.
func (w *Window) openAt(at time.Time) (end time.Time, open bool) {
	// The first begin after at-lasts is the only one whose window can be open.
	begin := w.begins.Next(at.Add(-w.lasts))
	if begin.IsZero() || begin.After(at) {
		return time.Time{}, false
	}
	return begin.Add(w.lasts), true
}

// distances returns the shortest and the longest time between two begins, without a
// zone's changes of the clock. It reports whether there are two.
func (w *Window) distances() (shortest, longest time.Duration, ok bool) {
	w.begins.Location = time.UTC
	first := time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC)
	last := w.begins.Next(first)
	for range maxBegins {
		next := w.begins.Next(last)
		if last.IsZero() || next.IsZero() || next.Sub(first) > maxSpan {
			break
		}
		distance := next.Sub(last)
		if !ok || distance < shortest {
			shortest = distance
		}
		longest, last, ok = max(longest, distance), next, true
	}
	return shortest, longest, ok
}
