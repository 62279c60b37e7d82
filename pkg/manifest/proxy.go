package manifest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Proxy is a registry that hands on the images of another one: what is named
// Prefix/x in a file is Registry/x.
type Proxy struct {
	// Prefix is a host, or a host and the beginning of a path, without a slash at its
	// end.
	Prefix string
	// Registry is the host, or the beginning, that Prefix stands for.
	Registry string
}

// dependencyProxies are the variables of GitLab CI/CD that stand for a proxy of
// Docker Hub (https://docs.gitlab.com/user/packages/dependency_proxy/).
var dependencyProxies = [...]string{"CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX", "CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX"}

const dockerHub = "docker.io"

// proxies are compiled proxies, the known ones among them, the longest prefix first.
// Prefixes and registries end in a slash.
type proxies []Proxy

func newProxies(given []Proxy) proxies {
	var all proxies
	for _, name := range dependencyProxies {
		all = append(all, Proxy{"$" + name + "/", dockerHub + "/"}, Proxy{"${" + name + "}/", dockerHub + "/"})
	}
	for _, p := range given {
		all = append(all, Proxy{p.Prefix + "/", p.Registry + "/"})
	}
	slices.SortStableFunc(all, func(a, b Proxy) int { return cmp.Compare(len(b.Prefix), len(a.Prefix)) })
	return all
}

// resolve returns the name of the image behind a proxy.
func (all proxies) resolve(name string) (string, bool) {
	for _, p := range all {
		if rest, ok := strings.CutPrefix(name, p.Prefix); ok {
			return p.Registry + rest, true
		}
	}
	return "", false
}

// variableBefore returns where a variable begins that stands for a proxy and has
// the token text[i:] right behind it, or is at its beginning.
func variableBefore(text string, i int) (start int, ok bool) {
	for _, name := range dependencyProxies {
		braced := "${" + name + "}"
		switch {
		case text[i] == '/' && strings.HasSuffix(text[:i], braced):
			return i - len(braced), true
		case i > 0 && text[i-1] == '$' && strings.HasPrefix(text[i:], name+"/"):
			return i - 1, true
		}
	}
	return 0, false
}

// Spellings are the names under which files may know an image: its own, and those
// behind proxies. They are immutable and safe for concurrent use.
type Spellings struct{ hashes []uint64 }

// NewSpellings returns the spellings of an image.
func NewSpellings(repo image.Repository, options Options) Spellings {
	s := Spellings{hashes: []uint64{hashWord(repo.Name())}}
	for _, p := range newProxies(options.Proxies) {
		inner, err := image.ParseRepository(p.Registry + "x/x") // two parts: docker.io/x is docker.io/library/x
		if err != nil {
			continue
		}
		if rest, ok := strings.CutPrefix(repo.Name(), strings.TrimSuffix(inner.Name(), "x/x")); ok {
			s.hashes = append(s.hashes, hashName(p.Prefix+rest), hashName(p.Prefix+strings.TrimPrefix(rest, "library/")))
		}
	}
	return s
}

// has reports whether one of the hashes is a spelling.
func (s Spellings) has(hashes [2]uint64) bool {
	return slices.Contains(s.hashes, hashes[0]) || slices.Contains(s.hashes, hashes[1])
}
