package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// maxVersionsLength bounds a range or regular expression in bytes, since the cost of a
// match grows with it.
const maxVersionsLength = 512

// Versions narrows the versions of a rule or target. The zero value allows every
// version. It is immutable and safe for concurrent use.
type Versions struct {
	text    string
	within  *semver.Constraints
	pattern *regexp.Regexp
}

// ParseRange returns the versions within a range such as ">=1.2.0, <2.0.0". Versions are
// MAJOR.MINOR.PATCH with an optional leading v, pre-release and build. A pre-release
// is within a range only if the range names one, as in
// ">=1.2.0-0" (https://github.com/Masterminds/semver#checking-version-constraints).
func ParseRange(text string) (Versions, error) {
	if len(text) > maxVersionsLength {
		return Versions{}, fmt.Errorf("is longer than %d bytes", maxVersionsLength)
	}
	within, err := semver.NewConstraint(text)
	if err != nil {
		return Versions{}, errors.New(`is not a range of versions, such as ">=1.2.0, <2.0.0"`)
	}
	return Versions{text: text, within: within}, nil
}

// ParseRegexp returns the versions in which a regular expression (RE2) finds a
// match; ^ and $ make it match whole versions.
func ParseRegexp(text string) (Versions, error) {
	if len(text) > maxVersionsLength {
		return Versions{}, fmt.Errorf("is longer than %d bytes", maxVersionsLength)
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return Versions{}, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return Versions{text: text, pattern: pattern}, nil
}

// Check returns nil for an allowed version, or an error with the reason.
func (v Versions) Check(tag image.Tag) error {
	switch {
	case v.pattern != nil:
		if !v.pattern.MatchString(tag.String()) {
			return fmt.Errorf("the version %s does not match %s", tag, v.text)
		}
	case v.within != nil:
		version, ok := semantic(tag.String())
		if !ok {
			return fmt.Errorf("the version %s is no MAJOR.MINOR.PATCH, which the range %s asks for", tag, v.text)
		}
		if !v.within.Check(version) {
			return fmt.Errorf("the version %s is not within %s", tag, v.text)
		}
	}
	return nil
}

// CheckComparable returns an error for a version that cannot be compared with others, so
// that it may not replace one where downgrades are refused.
func CheckComparable(tag image.Tag) error {
	if _, ok := semantic(tag.String()); !ok {
		return fmt.Errorf("the version %s is no MAJOR.MINOR.PATCH, so that it may be a downgrade, which is refused", tag)
	}
	return nil
}

// IsDowngrade reports whether a version is lower than the present one. It is not if one
// of them cannot be compared.
func IsDowngrade(tag image.Tag, present string) bool {
	to, good := semantic(tag.String())
	from, ok := semantic(present)
	return good && ok && to.LessThan(from)
}

// semantic reads [v]MAJOR.MINOR.PATCH[-pre][+build] (https://semver.org).
func semantic(text string) (*semver.Version, bool) {
	version, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v"))
	return version, err == nil
}
