package api

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// checkNew refuses text that must not reach a commit's message: control and format
// characters, credentials, and trailers with the service's names; and globs that cost
// too much. It is for new requests alone, not for stored ones. The body matches the
// description. The error is an *invalidError.
func checkNew(in *UpdateRequest) error {
	var wrong []FieldError
	if in.Paths != nil {
		if err := checkGlobs(*in.Paths); err != nil {
			wrong = append(wrong, FieldError{Pointer: "/paths", Detail: err.Error()})
		}
	}
	check := func(pointer string, text *string, checks ...func(string) error) {
		for _, check := range checks {
			if text == nil {
				return
			}
			if err := check(*text); err != nil {
				wrong = append(wrong, FieldError{Pointer: pointer, Detail: err.Error()})
			}
		}
	}
	check("/message", in.Message, checkCharacters, checkCredentials, checkTrailers)
	check("/override", in.Override, checkCharacters, checkCredentials)
	if in.Source != nil {
		check("/source/repository", in.Source.Repository, checkCharacters, checkCredentials)
		check("/source/revision", in.Source.Revision, checkCharacters, checkCredentials)
		check("/source/url", in.Source.Url, checkCharacters, checkCredentials)
	}
	if wrong == nil {
		return nil
	}
	return wrongFields(wrong, 0)
}

// checkCharacters refuses control characters other than tabs and line ends, and
// format characters, which change the direction of text or have no width.
func checkCharacters(text string) error {
	for _, r := range strings.ReplaceAll(text, "\r\n", "\n") {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return fmt.Errorf("has the character %U, which is invisible or controls how text is shown; remove it", r)
		}
	}
	return nil
}

// credentials matches the userinfo of an address (RFC 3986, section 3.2.1) that holds
// a password, or may be a token.
var credentials = regexp.MustCompile(`(?i)\b(?:https?://[^\s/?#@]+|[a-z][a-z0-9+.-]*://[^\s/?#@:]*:[^\s/?#@]*)@`)

func checkCredentials(text string) error {
	if credentials.MatchString(text) {
		return errors.New("has an address with a user's name or password; a commit's message is no place for it")
	}
	return nil
}

func checkTrailers(text string) error {
	if name := update.OwnTrailer(strings.ReplaceAll(text, "\r\n", "\n")); name != "" {
		return fmt.Errorf("ends in the trailer %s, which the service writes itself; remove it", name)
	}
	return nil
}
