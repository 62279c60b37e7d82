package config

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// special are the characters with a meaning in a glob.
const special = `*?[{\`

var errGlob = errors.New("is not a glob: a bracket or brace is open, or nothing follows a backslash")

// pathGlob refuses a glob that can match no path of a file in a repository.
func pathGlob(glob string) (string, error) {
	switch {
	case hasControl(glob):
		return "", fmt.Errorf("%s holds a control character", quote(glob))
	case !doublestar.ValidatePattern(glob):
		return "", fmt.Errorf("%s %w", quote(glob), errGlob)
	case strings.HasPrefix(glob, "/"):
		return "", fmt.Errorf("%s matches nothing: paths begin at the repository's root without a slash", quote(glob))
	case strings.HasSuffix(glob, "/"):
		return "", fmt.Errorf("%s matches nothing: for all that is below a folder write %s", quote(glob), quote(glob+"**"))
	}
	for part := range strings.SplitSeq(glob, "/") {
		switch part {
		case "":
			return "", fmt.Errorf("%s matches nothing: it has two slashes side by side", quote(glob))
		case ".", "..":
			return "", fmt.Errorf("%s matches nothing: no path has the component %q", quote(glob), part)
		}
	}
	return glob, nil
}

// ParseImageGlob returns a glob over normalised names. A name without glob characters
// is normalised. A glob gets the same defaults: docker.io if it begins with no host,
// and library if docker.io has a single component.
func ParseImageGlob(glob string) (string, error) {
	if !strings.ContainsAny(glob, special) {
		repo, err := image.ParseRepository(glob)
		return repo.Name(), err
	}
	if !doublestar.ValidatePattern(glob) {
		return "", fmt.Errorf("%s %w", quote(glob), errGlob)
	}
	if glob == "**" {
		return glob, nil
	}
	if err := possibleName(glob); err != nil {
		return "", err
	}
	host, rest, ok := strings.Cut(glob, "/")
	switch {
	case !ok:
		return "", fmt.Errorf("%s matches no image: names are compared with their registry, as docker.io/library/nginx; for every image write **", quote(glob))
	case strings.ContainsAny(host, special):
		return glob, nil
	case host == "index.docker.io":
		host = "docker.io"
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		host, rest = "docker.io", glob
	}
	if host == "docker.io" && !strings.Contains(rest, "/") && rest != "**" {
		rest = "library/" + rest
	}
	return host + "/" + rest, nil
}

// possibleName refuses a glob that can match no normalised name.
func possibleName(glob string) error {
	if path.Clean(glob) != glob || strings.HasPrefix(glob, "/") || strings.HasPrefix(glob, ".") {
		return fmt.Errorf("%s matches no image: a component of it is empty or a dot", quote(glob))
	}
	for _, r := range glob {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', strings.ContainsRune("._-/:*?[]{},^!\\", r):
		case 'A' <= r && r <= 'Z':
			return fmt.Errorf("%s matches no image: names have no upper-case letters", quote(glob))
		case r == '@':
			return fmt.Errorf("%s matches no image: names have no digest; leave out everything from the @ on", quote(glob))
		default:
			return fmt.Errorf("%s matches no image: no name holds %q", quote(glob), r)
		}
	}
	if strings.Contains(glob[strings.LastIndexByte(glob, '/')+1:], ":") && strings.Contains(glob, "/") {
		return fmt.Errorf("%s matches no image: names have no tag; leave out everything from the colon on", quote(glob))
	}
	return nil
}
