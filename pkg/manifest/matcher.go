package manifest

import (
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// wanted says which images a walk looks for.
type wanted struct {
	// names maps normalised names to the index of their update.
	names map[string]int
	// versions are those of the updates by index.
	versions []string
	// any is set where every image with one of the bases is wanted.
	any bool
	// every is set where every image is wanted, whose names are not known before.
	every bool
	// bases holds the last path part of each name.
	bases map[string]struct{}
	// proxies are those behind which an image is wanted as well.
	proxies proxies
}

// match parses a repository as a file spells it and returns it, or the one behind a
// proxy, with the index of its update. It excludes most text by the last path part,
// without parsing.
func (w *wanted) match(name string) (image.Repository, int, bool) {
	if len(name) > longestText {
		return image.Repository{}, -1, false
	}
	if w.every {
		return w.parse(name)
	}
	if _, ok := w.bases[name[strings.LastIndexByte(name, '/')+1:]]; !ok {
		return image.Repository{}, -1, false
	}
	repo, err := image.ParseRepository(name)
	if w.any {
		return repo, 0, err == nil
	}
	if err == nil {
		if update, ok := w.names[repo.Name()]; ok {
			return repo, update, true
		}
	}
	if meant, ok := w.proxies.resolve(name); ok {
		repo, err = image.ParseRepository(meant)
	}
	if err != nil {
		return image.Repository{}, -1, false
	}
	update, ok := w.names[repo.Name()]
	return repo, update, ok
}

// parse is match where every image is wanted: a name behind a proxy is that of the
// image which the proxy hands on.
func (w *wanted) parse(name string) (image.Repository, int, bool) {
	if meant, ok := w.proxies.resolve(name); ok {
		name = meant
	}
	repo, err := image.ParseRepository(name)
	return repo, 0, err == nil
}
