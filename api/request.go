package api

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// parseUpdate turns a body that matches the description into a request. The error is
// an *invalidError with every wrong field.
func parseUpdate(in *UpdateRequest) (update.Request, error) {
	var r update.Request
	var wrong []FieldError
	refuse := func(pointer string, err error) {
		if err != nil {
			wrong = append(wrong, FieldError{Pointer: pointer, Detail: err.Error()})
		}
	}

	var m update.Image
	var err error
	m.Repository, err = image.ParseRepository(in.Image)
	refuse("/image", err)
	m.Version, err = image.ParseTag(in.Version)
	refuse("/version", err)
	if in.Digest != nil {
		m.Digest, err = image.ParseDigest(*in.Digest)
		refuse("/digest", err)
	}
	r.Images = []update.Image{m}
	if in.Repository != nil {
		r.Repo, err = github.ParseRepo(*in.Repository)
		refuse("/repository", err)
	}
	if in.Paths != nil {
		r.Paths = *in.Paths
		for i, glob := range r.Paths {
			refuse("/paths/"+strconv.Itoa(i), checkGlob(glob))
		}
	}
	if in.Present != nil {
		r.Present, err = image.ParsePattern(*in.Present)
		refuse("/present", err)
	}
	if len(wrong) > 0 {
		return update.Request{}, wrongFields(wrong, 0)
	}
	r.Branch = valueOf(in.Branch)
	r.Message = strings.ReplaceAll(valueOf(in.Message), "\r\n", "\n")
	r.DryRun = valueOf(in.DryRun)
	if in.Source != nil {
		r.Source = update.Source{
			Repository: valueOf(in.Source.Repository), Revision: valueOf(in.Source.Revision), URL: valueOf(in.Source.Url),
		}
	}
	return r, nil
}

// The bounds of one glob: the cost of a match grows with the product of the ways in
// which its stars and braces can match.
const (
	maxDeepStars = 3  // **
	maxBraces    = 2  // {a,b}, side by side or nested
	maxCommas    = 10 // in all braces together
)

// maxGlobWeight bounds the sum of globWeight over a request's globs. A match of weight
// 1 takes about a microsecond, so the files of a large repository are matched within
// two seconds. A hundred plain globs are well below the bound.
const maxGlobWeight = 150

// checkGlobs refuses globs whose total cost is too high.
func checkGlobs(globs []string) error {
	weight := 0
	for _, glob := range globs {
		weight += globWeight(glob)
	}
	if weight > maxGlobWeight {
		return errors.New("the globs are too complex together; use fewer of them, or fewer ** and braces in them")
	}
	return nil
}

// globWeight estimates the cost of a match, relative to that of a plain path: the
// product of the ways in which ** and braces can match.
func globWeight(glob string) int {
	weight := 1 + strings.Count(strings.TrimSuffix(glob, "/**"), "**")
	var open []int // for each open brace, its alternatives so far
	for _, r := range glob {
		switch n := len(open); {
		case r == '{':
			open = append(open, 1)
		case r == ',' && n > 0:
			open[n-1]++
		case r == '}' && n > 0:
			weight *= open[n-1]
			open = open[:n-1]
		}
	}
	wild := strings.Count(glob, "*") + strings.Count(glob, "?") + strings.Count(glob, "[")
	return weight * (1 + wild/8)
}

func checkGlob(glob string) error {
	if strings.ContainsFunc(glob, unicode.IsControl) {
		return fmt.Errorf("%s has a control character", safetext.Quote(glob, maxShown))
	}
	if strings.Count(glob, "**") > maxDeepStars || strings.Count(glob, "{") > maxBraces || strings.Count(glob, ",") > maxCommas {
		return fmt.Errorf("%s is too complex; use at most %d ** and %d braces with %d alternatives, or several globs",
			safetext.Quote(glob, maxShown), maxDeepStars, maxBraces, maxCommas)
	}
	if !doublestar.ValidatePattern(glob) {
		return fmt.Errorf("%s is not a glob; see https://github.com/bmatcuk/doublestar#patterns", safetext.Quote(glob, maxShown))
	}
	return nil
}

// explainParameter returns a sentence about a parameter that the schema refuses, or
// "" for the schema's own.
func explainParameter(name string) string {
	if name == "Idempotency-Key" {
		return "must be 1 to 255 printable ASCII characters without spaces"
	}
	return ""
}

// explainField returns the parser's sentence about a value that the schema refuses,
// or "" for the schema's own.
func explainField(pointer string, value any) string {
	text, ok := value.(string)
	if !ok {
		return ""
	}
	var err error
	switch pointer {
	case "/image":
		_, err = image.ParseRepository(text)
	case "/version":
		_, err = image.ParseTag(text)
	case "/digest":
		_, err = image.ParseDigest(text)
	case "/repository":
		_, err = github.ParseRepo(text)
	case "/present":
		_, err = image.ParsePattern(text)
	case "/source/url":
		err = errors.New("must be an http or https URL without spaces")
	case "/source/repository", "/source/revision":
		err = errors.New("must be one line of 1 to 255 characters")
	case "/message":
		err = errors.New("must hold text of at most 4096 characters, without control characters but tabs and line ends")
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
