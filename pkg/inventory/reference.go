package inventory

import (
	"cmp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// Current is the state of a reference that an update of its image moves.
const Current = "current"

// Reference is one reference to an image.
type Reference struct {
	// Image is the name as the file has it, and Name is the normalised one.
	Image, Name string
	// Target is the target's id.
	Target string
	Repo   github.Repo
	Branch string
	// Path, Line, Column and Pointer say where the version stands, or the name where
	// there is none (see manifest.Place).
	Path         string
	Line, Column int
	Pointer      string
	// Version and Digest are as the file has them; empty means none.
	Version, Digest string
	// State is Current or why an update leaves the reference alone.
	State string
}

// Position returns where the reference is in the order of all.
func (r *Reference) Position() Position {
	return Position{Target: r.Target, Path: r.Path, Line: r.Line, Column: r.Column, Name: r.Name}
}

// Position is a place in the order of references. The zero value is before all.
type Position struct {
	Target, Path string
	Line, Column int
	Name         string
}

// Compare returns -1, 0 or 1 as p is before, at or behind another position.
func (p Position) Compare(other Position) int {
	return cmp.Or(
		strings.Compare(p.Target, other.Target), strings.Compare(p.Path, other.Path),
		cmp.Compare(p.Line, other.Line), cmp.Compare(p.Column, other.Column), strings.Compare(p.Name, other.Name),
	)
}

func matches(glob, name string) bool { return doublestar.MatchUnvalidated(glob, name) }
