package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// prefer holds the caller's preferences (RFC 7240).
type prefer struct {
	stored bool // do not wait for the end in any case
	waits  bool
	wait   time.Duration // but for this long
}

// applied is how a preference that was followed is told back: one to wait, with
// the time that was granted.
func (p prefer) applied(wait time.Duration) string {
	if !p.waits {
		return "respond-async"
	}
	return "wait=" + strconv.Itoa(int(wait/time.Second))
}

// foldPrefer makes one line of several, which mean the same (RFC 9110, section 5.3).
func foldPrefer(c *gin.Context) {
	if lines := c.Request.Header.Values("Prefer"); len(lines) > 1 {
		c.Request.Header.Set("Prefer", strings.Join(lines, ", "))
	}
}

// parsePrefer reads the preferences that this server knows; of two with one name
// the first counts, and what it cannot read it passes over, as the RFC asks for.
// Asked for both, to wait and to be answered without the end, it waits first.
func parsePrefer(h http.Header) (p prefer) {
	seen := map[string]bool{}
	for preference := range strings.SplitSeq(h.Get("Prefer"), ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(preference, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		value = strings.Trim(strings.TrimSpace(value), `"`)
		if seen[name] {
			continue
		}
		seen[name] = true
		switch name {
		case "respond-async":
			p.stored = true
		case "wait":
			seconds, err := strconv.ParseUint(value, 10, 31)
			if err != nil {
				continue
			}
			p.stored, p.waits = true, true
			p.wait = time.Duration(seconds) * time.Second
		}
	}
	return p
}
