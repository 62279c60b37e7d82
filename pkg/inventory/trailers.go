package inventory

import (
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// trailers are what the end of a commit's message says about it. A commit that several
// updates share has the trailers of each.
type trailers struct {
	images, updateIDs, requestedBy         []string
	repositories, revisions, sourceAddress []string
}

// trailersOf reads the last paragraph of a message (git-interpret-trailers(1)).
func trailersOf(message string) trailers {
	var t trailers
	values := map[string]*[]string{
		"image": &t.images, "update-id": &t.updateIDs, "requested-by": &t.requestedBy,
		"source-repository": &t.repositories, "source-revision": &t.revisions, "source-url": &t.sourceAddress,
	}
	message = strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n"))
	for line := range strings.SplitSeq(message[strings.LastIndex(message, "\n\n")+1:], "\n") {
		key, value, _ := strings.Cut(line, ":")
		all := values[strings.ToLower(key)]
		if value = strings.TrimSpace(value); all != nil && value != "" && !slices.Contains(*all, value) {
			*all = append(*all, value)
		}
	}
	return t
}

// only returns the value if there is no other.
func only(values []string) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// source returns where the image came from, as far as one is named.
func (t trailers) source() update.Source {
	return update.Source{Repository: only(t.repositories), Revision: only(t.revisions), URL: only(t.sourceAddress)}
}

// leavesOut reports whether the trailers name images, and not this one.
func (t trailers) leavesOut(repository image.Repository) bool {
	for _, name := range t.images {
		named, err := image.ParseRepository(name)
		if err != nil || named.Equal(repository) {
			return false
		}
	}
	return len(t.images) > 0
}
