package caller

import (
	"maps"
	"slices"
)

// Principal is who sent a request. The zero value is nobody, as in a service without
// callers.
type Principal struct {
	names   []string
	claims  map[string]string
	source  Source
	readAll bool
	matched []string
}

// Source is where a job runs, by its token. Its fields may be empty.
type Source struct {
	Repository string // owner/name, or a project's path
	Revision   string // the commit
	URL        string // the run's page
}

// Name is the first caller that the principal is, or "" for nobody.
func (p Principal) Name() string {
	if len(p.names) == 0 {
		return ""
	}
	return p.names[0]
}

// Names are all callers that the principal is, in the order of the configuration.
func (p Principal) Names() []string { return slices.Clone(p.names) }

// Claims are the texts of the token's claims, by name; nil for a named caller.
func (p Principal) Claims() map[string]string { return maps.Clone(p.claims) }

// Matched are the names of the claims by which a token is the principal's callers, in the
// order of the alphabet; nil for a named caller.
func (p Principal) Matched() []string { return slices.Clone(p.matched) }

// Federated reports whether an issuer vouches for the principal.
func (p Principal) Federated() bool { return p.claims != nil }

// Source is where the job runs; zero for a named caller.
func (p Principal) Source() Source { return p.source }

// ReadsAll reports whether the principal may see updates that its rules do not cover.
func (p Principal) ReadsAll() bool { return p.readAll }
