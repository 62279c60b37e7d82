package api

import (
	"errors"
	"fmt"
	"regexp"
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

	var err error
	r.Images, r.Listed = parseImages(in, refuse), in.Images != nil
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
	r.Mode = update.Mode(valueOf(in.Mode))
	r.Message = strings.ReplaceAll(valueOf(in.Message), "\r\n", "\n")
	r.OverrideReason = strings.TrimSpace(valueOf(in.Override))
	r.DryRun = valueOf(in.DryRun)
	if in.Source != nil {
		r.Source = update.Source{
			Repository: valueOf(in.Source.Repository), Revision: valueOf(in.Source.Revision), URL: valueOf(in.Source.Url),
		}
	}
	return r, nil
}

// parseImages reads the images of a body, which has a list of them or the fields of one.
func parseImages(in *UpdateRequest, refuse func(pointer string, err error)) []update.Image {
	if in.Images == nil {
		for pointer, field := range map[string]*string{"/image": in.Image, "/version": in.Version} {
			if field == nil {
				refuse(pointer, errors.New("is missing"))
			}
		}
		return []update.Image{parseImage("", MovedImage{Image: valueOf(in.Image), Version: valueOf(in.Version), Digest: in.Digest}, refuse)}
	}
	for pointer, field := range map[string]*string{"/image": in.Image, "/version": in.Version, "/digest": in.Digest} {
		if field != nil {
			refuse(pointer, errors.New("is beside images; send it as one of them, or leave images out"))
		}
	}
	var images []update.Image
	first := map[string]int{} // of each image, its index
	for i, one := range *in.Images {
		pointer := "/images/" + strconv.Itoa(i)
		m := parseImage(pointer, one, refuse)
		if at, ok := first[m.Repository.Name()]; ok && m.Repository.Name() != "" {
			refuse(pointer+"/image", fmt.Errorf("is the image of /images/%d too; an image has one version", at))
		} else {
			first[m.Repository.Name()] = i
		}
		images = append(images, m)
	}
	return images
}

// parseImage reads one image, whose fields are below the pointer.
func parseImage(pointer string, in MovedImage, refuse func(pointer string, err error)) (m update.Image) {
	var err error
	m.Repository, err = image.ParseRepository(in.Image)
	refuse(pointer+"/image", err)
	m.Version, err = image.ParseTag(in.Version)
	refuse(pointer+"/version", err)
	if in.Digest != nil {
		m.Digest, err = image.ParseDigest(*in.Digest)
		refuse(pointer+"/digest", err)
	}
	return m
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

// oneOfImages is the pointer to an image of a list, whose fields are those of one alone.
var oneOfImages = regexp.MustCompile(`^/images/[0-9]+/`)

// explainField returns the parser's sentence about a value that the schema refuses,
// or "" for the schema's own.
func explainField(pointer string, value any) string {
	text, ok := value.(string)
	if !ok {
		return ""
	}
	var err error
	switch oneOfImages.ReplaceAllString(pointer, "/") {
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
	case "/override":
		err = errors.New("must be one line of 1 to 500 characters that says why")
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
