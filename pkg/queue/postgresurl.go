package queue

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// authority is the part of a URL between // and the path (RFC 3986, section 3.2).
func authority(text string) string {
	_, rest, _ := strings.Cut(text, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// secrets are the passwords in a URL, as written and as meant; but for those that
// anybody would guess, as they stand elsewhere in the URL.
func secrets(u *url.URL) []string {
	var found []string
	if password, ok := u.User.Password(); ok {
		found = append(found, password, url.PathEscape(password), url.QueryEscape(password))
		if _, raw, ok := strings.Cut(u.User.String(), ":"); ok {
			found = append(found, raw)
		}
	}
	for _, key := range []string{"password", "sslpassword"} {
		for _, value := range u.Query()[key] {
			found = append(found, value, url.QueryEscape(value))
		}
	}
	guessed := []string{u.User.Username(), u.Hostname(), u.Port(), strings.Trim(u.Path, "/"), u.Scheme}
	return slices.DeleteFunc(found, func(s string) bool { return len(s) < 4 || slices.Contains(guessed, s) })
}

// without returns err, or its text with the secrets redacted when it contains one.
func without(secrets []string, err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := text
	for _, s := range secrets {
		if s != "" {
			clean = strings.ReplaceAll(clean, s, "xxxxx")
		}
	}
	if clean = safetext.Line(clean, errorLength); clean == text {
		return err
	}
	return errors.New(clean)
}
