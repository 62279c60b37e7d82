package caller

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// IssuerGitHub is the issuer of GitHub Actions on github.com, for which a
// configuration may say github.
const IssuerGitHub = "https://token.actions.githubusercontent.com"

// Federated is a caller that an issuer vouches for.
type Federated struct {
	Name string
	// Issuer is the token's iss, exactly: an https URL, or http on loopback.
	Issuer string
	// CA holds the root certificates for the issuer in PEM; empty for the system's.
	CA []byte
	// Audience is the token's aud, exactly.
	Audience string
	// Claims are the values that each claim may have: a value with an asterisk is a
	// doublestar glob, any other must be equal. One of the claims must pin the caller.
	Claims map[string][]string
	// ReadAll lets it see updates that its rules do not cover.
	ReadAll bool
}

// pinning are the claims of which a caller needs one: without it, anyone who can get a
// token of the issuer is the caller, and at a public issuer everyone can.
var pinning = []string{
	"sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "enterprise", "enterprise_id",
	"project_id", "project_path", "namespace_id", "namespace_path", "job_workflow_ref",
}

// Check returns the error that New returns for the caller.
func (f *Federated) Check() error {
	if err := CheckIssuer(f.Issuer); err != nil {
		return err
	}
	if f.Audience == "" {
		return errors.New("has no audience: give audience, or OIDC_AUDIENCE")
	}
	pinned := false
	for name, values := range f.Claims {
		if len(values) == 0 {
			return fmt.Errorf("claim %s has no value", name)
		}
		for _, value := range values {
			if value == "" || strings.Contains(value, "*") && !doublestar.ValidatePattern(value) {
				return fmt.Errorf("claim %s has a value that matches nothing", name)
			}
		}
		free := slices.ContainsFunc(values, func(v string) bool { return strings.Trim(v, "*/") == "" })
		pinned = pinned || slices.Contains(pinning, name) && !free
	}
	if !pinned {
		return errors.New("no claim pins who may call: name one of repository_id, repository_owner_id, project_id, namespace_id or sub")
	}
	return nil
}

// CheckIssuer returns an error unless the text is an https URL without query, fragment
// and user, or such an http URL on loopback (OpenID Connect Discovery 1.0, section 4).
func CheckIssuer(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("the issuer is no URL such as " + IssuerGitHub)
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return errors.New("the issuer must begin with https://")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fits reports whether the token's claims fit the caller.
func (f *Federated) fits(c Claims) bool {
	for name, values := range f.Claims {
		text, ok := c.texts[name]
		if !ok || !slices.ContainsFunc(values, func(v string) bool { return matches(v, text) }) {
			return false
		}
	}
	return true
}

// Judge compares some of a token's claims, by their texts, with the caller. It returns what
// does not fit, one clause each, and the names of claims that the caller needs and that are
// not there.
func (f *Federated) Judge(texts map[string]string) (against, missing []string) {
	c := Claims{texts: map[string]string{}}
	maps.Copy(c.texts, texts)
	for name, want := range map[string]string{"iss": f.Issuer, "aud": f.Audience} {
		if said, ok := texts[name]; ok && said != want {
			against = append(against, fmt.Sprintf("its %s is %s in place of %s", name, quoted(said), quoted(want)))
		}
		c.texts[name] = want
	}
	for _, name := range slices.Sorted(maps.Keys(f.Claims)) {
		text, ok := texts[name]
		switch {
		case !ok:
			missing = append(missing, name)
		case !slices.ContainsFunc(f.Claims[name], func(v string) bool { return matches(v, text) }):
			against = append(against, fmt.Sprintf("its claim %s is %s", name, quoted(text)))
		}
	}
	switch event := eventOf(c); {
	case event == "" || len(f.Claims[event]) > 0:
	case texts[event] == "":
		missing = append(missing, event)
	default:
		if err := refusedEvent(*f, c); err != nil {
			against = append(against, err.Error())
		}
	}
	slices.Sort(against)
	return against, missing
}

func matches(value, text string) bool {
	if strings.Contains(value, "*") {
		return doublestar.MatchUnvalidated(value, text)
	}
	return value == text
}
