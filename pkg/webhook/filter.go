package webhook

import (
	"fmt"
	"regexp"

	"github.com/Masterminds/semver/v3"
)

// TagFilter selects tags. The zero value takes every tag. It is immutable and
// safe for concurrent use.
type TagFilter struct {
	pattern *regexp.Regexp
	within  *semver.Constraints
}

// ParseTagRegexp returns a filter of the tags in which a regular expression (RE2)
// finds a match; ^ and $ make it match whole tags.
func ParseTagRegexp(text string) (TagFilter, error) {
	pattern, err := regexp.Compile(text)
	if err != nil {
		return TagFilter{}, fmt.Errorf("the tag filter is not a regular expression: %w", err)
	}
	return TagFilter{pattern: pattern}, nil
}

// ParseTagRange returns a filter of the tags that are semantic versions, with or
// without a leading v and of one to three numbers, within a range such as
// ">=1.2 <2" or "~1.4 || 2.x". Pre-releases are taken only by a range that names
// one, as in ">=1.2-0".
func ParseTagRange(text string) (TagFilter, error) {
	within, err := semver.NewConstraint(text)
	if err != nil {
		return TagFilter{}, fmt.Errorf("the tag filter is not a range of semantic versions: %w", err)
	}
	return TagFilter{within: within}, nil
}

// Takes reports whether the filter selects the tag.
func (f TagFilter) Takes(tag string) bool {
	switch {
	case f.pattern != nil:
		return f.pattern.MatchString(tag)
	case f.within != nil:
		version, err := semver.NewVersion(tag)
		return err == nil && f.within.Check(version)
	}
	return true
}
