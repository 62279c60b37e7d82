package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Limits of a pattern and of a claim's text.
const (
	// maxPatternLength bounds a pattern in bytes; a name has at most
	// image.MaxRepositoryLength.
	maxPatternLength = 512
	// maxPatternClaims bounds the claims of a pattern.
	maxPatternClaims = 4
	// maxPatternBraces bounds the braces of a pattern: the ways in which they can match
	// are multiplied.
	maxPatternBraces = 2
)

// wildcards are the characters with a meaning in a glob.
const wildcards = `*?[]{}\`

var (
	claimName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$`)
	// claimPath is one or more path components of the OCI distribution
	// specification, section "Pulling manifests".
	claimPath = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// Pattern is a glob over the normalised names of images that may hold claims of a
// caller. The zero value matches nothing. It is immutable and safe for concurrent use.
type Pattern struct {
	text  string
	parts []part
}

// part is a piece of a glob, or a claim.
type part struct {
	glob  string
	claim string
}

// ParsePattern reads a pattern such as ghcr.io/octo-org/** or ghcr.io/${repository}.
// A name without a registry is Docker Hub's, as in a manifest, and ** alone is every
// image. The error has the fix.
func ParsePattern(text string) (Pattern, error) {
	switch {
	case text == "":
		return Pattern{}, errors.New("is empty: give an image's name, such as ghcr.io/octo-org/**")
	case len(text) > maxPatternLength:
		return Pattern{}, fmt.Errorf("is longer than %d bytes", maxPatternLength)
	case text == "**":
		return Pattern{text: text, parts: []part{{glob: "**"}}}, nil
	}
	p := Pattern{text: text}
	if err := p.split(); err != nil {
		return Pattern{}, err
	}
	if err := p.check(); err != nil {
		return Pattern{}, err
	}
	return p, nil
}

// split splits the text at its claims, and adds a missing registry.
func (p *Pattern) split() error {
	host, _, found := strings.Cut(p.text, "/")
	if strings.ContainsAny(host, wildcards) || strings.Contains(host, "${") {
		return errors.New("begins with a wildcard or a claim: write the registry out, such as ghcr.io/${repository}")
	}
	rest := normalised(host, p.text, found)
	claims := 0
	for rest != "" {
		glob, after, ok := strings.Cut(rest, "${")
		if glob != "" {
			p.parts = append(p.parts, part{glob: glob})
		}
		if !ok {
			return nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed || !claimName.MatchString(name) {
			return errors.New("holds a ${ that is no claim: write ${NAME}, such as ${repository}")
		}
		if claims++; claims > maxPatternClaims {
			return fmt.Errorf("holds more than %d claims", maxPatternClaims)
		}
		p.parts = append(p.parts, part{claim: name})
		rest = tail
	}
	return nil
}

// normalised returns the pattern with its registry spelled as in normalised names.
func normalised(host, text string, slash bool) string {
	switch {
	case host == "index.docker.io" && slash:
		text = "docker.io" + strings.TrimPrefix(text, host)
	case !slash || !strings.ContainsAny(host, ".:") && host != "localhost":
		text = "docker.io/" + text
	}
	if rest, ok := strings.CutPrefix(text, "docker.io/"); ok && !strings.Contains(rest, "/") && !strings.ContainsAny(rest, "*$") {
		text = "docker.io/library/" + rest
	}
	return text
}

// check refuses a pattern that can match nothing, or more than it seems to.
func (p *Pattern) check() error {
	sample := p.expand(func(string) (string, bool) { return "x", true })
	if !doublestar.ValidatePattern(sample) {
		return errors.New("is not a glob: a bracket or brace in it is not closed")
	}
	if strings.Count(sample, "{") > maxPatternBraces {
		return fmt.Errorf("has more than %d braces: write several patterns", maxPatternBraces)
	}
	marked := p.expand(func(string) (string, bool) { return "\x00", true })
	if strings.Count(marked, "\x00") > 0 {
		for component := range strings.SplitSeq(marked, "/") {
			if strings.Contains(component, "\x00") && strings.ContainsAny(component, wildcards) {
				return errors.New("has a wildcard in the same path component as a claim, which would match what others own: part them by a slash, such as ghcr.io/${repository}/**")
			}
		}
	}
	for component := range strings.SplitSeq(sample, "/") {
		if component == "" || component == "." || component == ".." {
			return errors.New("matches no image: a path component of it is empty or a dot")
		}
	}
	for _, r := range sample {
		switch {
		case 'A' <= r && r <= 'Z':
			return errors.New("matches no image: names have no upper-case letters")
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', strings.ContainsRune("._-/:,^!"+wildcards, r):
		default:
			return fmt.Errorf("matches no image: no name holds %q", r)
		}
	}
	if !strings.ContainsAny(sample, wildcards) {
		if _, err := image.ParseRepository(sample); err != nil {
			return err
		}
	}
	return nil
}

// expand replaces claims by their texts. It returns "" if a claim has no usable text.
func (p *Pattern) expand(text func(claim string) (string, bool)) string {
	var b strings.Builder
	for _, part := range p.parts {
		if part.claim == "" {
			b.WriteString(part.glob)
			continue
		}
		value, ok := text(part.claim)
		if !ok {
			return ""
		}
		b.WriteString(value)
	}
	return b.String()
}

// Matches reports whether the pattern, with the caller's claims, matches the image.
func (p Pattern) Matches(claims map[string]string, repository image.Repository) bool {
	glob := p.expand(func(name string) (string, bool) { return pathOf(claims, name) })
	return glob != "" && doublestar.MatchUnvalidated(glob, repository.Name())
}

// pathOf returns the claim's text as path components of an image's name, and reports
// whether it is that.
func pathOf(claims map[string]string, name string) (string, bool) {
	text, ok := claims[name]
	if !ok || text == "" || len(text) > image.MaxRepositoryLength {
		return "", false
	}
	text = lower(text)
	return text, claimPath.MatchString(text)
}

// lower changes ASCII letters alone: other letters that have a lower case of
// ASCII, such as the Kelvin sign, must not become it.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, text)
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Claims are the names of the claims in the pattern.
func (p Pattern) Claims() []string {
	var names []string
	for _, part := range p.parts {
		if part.claim != "" {
			names = append(names, part.claim)
		}
	}
	return names
}

// describe returns the pattern with the claims filled in.
func (p Pattern) describe(claims map[string]string) string {
	for _, name := range p.Claims() {
		if _, ok := claims[name]; !ok {
			return fmt.Sprintf("%s (the token has no claim %s that is a text)", p.text, name)
		}
		if _, ok := pathOf(claims, name); !ok {
			return fmt.Sprintf("%s (the token's claim %s is no path of an image's name)", p.text, name)
		}
	}
	expanded := p.expand(func(name string) (string, bool) { return pathOf(claims, name) })
	if len(p.Claims()) == 0 {
		return p.text
	}
	return fmt.Sprintf("%s (from %s)", expanded, p.text)
}
