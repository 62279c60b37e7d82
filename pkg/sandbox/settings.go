package sandbox

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that JSON writes as text, such as "1.5s".
type Duration time.Duration

// MarshalText writes the duration as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("duration: %w", err)
	}
	*d = Duration(v)
	return nil
}

// Settings are what the server is like for every request; faults are for some.
type Settings struct {
	// Latency is waited before each API request.
	Latency Duration `json:"latency"`
	// TreeEntries and TreeBytes bound a recursive listing; beyond either it is
	// truncated. Bytes are those of `git ls-tree -r -t`, which is the reading
	// under which GitHub's two limits, 100,000 entries and 7 MB, agree.
	TreeEntries int `json:"tree_entries"`
	TreeBytes   int `json:"tree_bytes"`
	// NewTreeEntries and NewTreeBytes bound what POST git/trees takes before it
	// times out with 422; 0 means no bound.
	NewTreeEntries int `json:"new_tree_entries"`
	NewTreeBytes   int `json:"new_tree_bytes"`
	// StaleReads makes reads of a reference show its former value after a write.
	StaleReads StaleReads `json:"stale_reads"`
	// Base64Blobs, BranchWithoutTree, NoBranches and NoTarball make a server
	// that speaks less than GitHub: JSON blobs though raw bytes were asked for,
	// GET branches without commit.commit.tree, or no such operation at all.
	Base64Blobs       bool `json:"base64_blobs"`
	BranchWithoutTree bool `json:"branch_without_tree"`
	NoBranches        bool `json:"no_branches"`
	NoTarball         bool `json:"no_tarball"`
	// NoAsyncMerge makes a server that merges while the caller waits only, as an
	// Enterprise Server does; MergeDelay is how long an asynchronous merge takes.
	NoAsyncMerge bool     `json:"no_async_merge"`
	MergeDelay   Duration `json:"merge_delay"`
	// TokenLag is for how long a new token of an installation is refused as if it
	// were unknown.
	TokenLag Duration `json:"token_lag"`
	// LinkLifetime is how long a tarball's address may be used.
	LinkLifetime Duration `json:"link_lifetime"`
	// Limiter is the real one, off at first.
	Limiter Limiter `json:"limiter"`
}

// StaleReads describes replication lag: after a write of a reference its
// first Reads reads, or all reads during Window, show the former value. With
// both given both must hold.
type StaleReads struct {
	Reads  int      `json:"reads"`
	Window Duration `json:"window"`
}

// Limiter holds GitHub's published limits. A zero limit does not limit.
type Limiter struct {
	On bool `json:"on"`
	// PerHour is the primary limit of a user or an installation.
	PerHour int `json:"per_hour"`
	// ContentPerMinute and ContentPerHour bound requests that create content.
	// Which do is not published: here all that write, or with OnlyRefs those
	// that move a reference.
	ContentPerMinute int  `json:"content_per_minute"`
	ContentPerHour   int  `json:"content_per_hour"`
	OnlyRefs         bool `json:"only_refs"`
	// PointsPerMinute: a read is 1, a write 5.
	PointsPerMinute int `json:"points_per_minute"`
	Concurrent      int `json:"concurrent"`
	// Status is 403 or 429; 0 means 403.
	Status int `json:"status"`
	// NoRetryAfter leaves the header out of secondary limits.
	NoRetryAfter bool `json:"no_retry_after"`
}

// DefaultSettings are those of api.github.com, without latency and with the
// limiter off.
func DefaultSettings() Settings {
	return Settings{
		TreeEntries:  100_000,
		TreeBytes:    7 << 20,
		LinkLifetime: Duration(5 * time.Minute),
		Limiter: Limiter{
			PerHour: 5000, ContentPerMinute: 80, ContentPerHour: 500, PointsPerMinute: 900, Concurrent: 100,
		},
	}
}

// Settings returns the present ones.
func (s *Server) Settings() Settings {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.settings
}

// Configure changes the settings while the server runs. Requests on their way
// keep those they began with.
func (s *Server) Configure(change func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.settings)
}
