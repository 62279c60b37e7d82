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
	stored bool // store the update, whether or not the caller waits
	waits  bool
	wait   time.Duration // but for this long
}

// applied returns the value of Preference-Applied: the preference that was followed,
// with the granted time.
func (p prefer) applied(wait time.Duration) string {
	if !p.waits {
		return "respond-async"
	}
	return "wait=" + strconv.Itoa(int(wait/time.Second))
}

// foldPrefer joins several Prefer lines into one, which means the same (RFC 9110,
// section 5.3).
func foldPrefer(c *gin.Context) {
	if lines := c.Request.Header.Values("Prefer"); len(lines) > 1 {
		c.Request.Header.Set("Prefer", strings.Join(lines, ", "))
	}
}

// parsePrefer reads the preferences that this server knows. Of two with one name the
// first counts, and unreadable ones are ignored (RFC 7240, section 2). With both wait
// and respond-async the server waits, and then answers 202.
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
