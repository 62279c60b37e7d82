package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Caller may call the service, with secrets or with tokens that an issuer signs.
type Caller struct {
	// Name is unique and is also the name in API_TOKENS that its secrets join.
	Name string
	// Tokens are its secrets; none with OIDC.
	Tokens []Token
	// Read is ReadAll, ReadOwn, or "" for the default.
	Read string
	// OIDC is nil for a caller with secrets.
	OIDC *OIDC
	// Line is its line in the file.
	Line int
}

// What a caller may see.
const (
	ReadAll = "all"
	ReadOwn = "own"
)

// Token is a caller's secret, or the SHA-256 of it in hexadecimal digits.
type Token struct {
	Secret Secret
	SHA256 string
}

// OIDC selects the tokens of an issuer that are the caller's.
type OIDC struct {
	// Issuer is a URL, or github for GitHub Actions on github.com.
	Issuer string
	// Audience is "" for the service's own.
	Audience string
	// Claims has at least one value for each name.
	Claims map[string][]string
	// CAFile is the PEM file of the root certificates for the issuer; "" for the
	// system's. CA is its content, if Options.ReadFile is set.
	CAFile string
	CA     []byte
}

// Limits of callers and rules, above what a person can review.
const (
	maxCallers = 1000
	maxClaims  = 50
)

// caller reads one caller and asks the hook about it.
func caller(c *Caller) func(value) {
	return func(v value) {
		c.Line = v.node.Line
		given, ok := v.object(
			field{name: "name", required: true, read: parsed(&c.Name, plainName)},
			field{name: "tokens", read: list(&c.Tokens, token)},
			field{name: "read", read: parsed(&c.Read, choice(ReadAll, ReadOwn))},
			field{name: "oidc", read: oidc(&c.OIDC)},
		)
		if !ok {
			return
		}
		has := func(name string) bool {
			return slices.ContainsFunc(given, func(g value) bool { return g.key == v.inside(name, v.node).key })
		}
		if has("tokens") == has("oidc") {
			v.refuse("say how it proves itself by one of tokens and oidc")
			return
		}
		if v.options.CheckCaller != nil {
			v.hook(v.options.CheckCaller(*c))
		}
	}
}

var hashPattern = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

// token reads {env: NAME}, {file: PATH} or {sha256: HEX}.
func token(t *Token) func(value) {
	return func(v value) {
		if v.node.Kind == yaml.MappingNode && len(v.node.Content) == 2 && v.node.Content[0].Value == "sha256" {
			v.object(field{name: "sha256", read: parsed(&t.SHA256, func(text string) (string, error) {
				if !hashPattern.MatchString(text) {
					return "", errors.New("is not a SHA-256 in 64 hexadecimal digits: printf %s \"$SECRET\" | sha256sum makes one")
				}
				if sum, err := hex.DecodeString(text); err != nil || len(sum) == 0 {
					return "", errors.New("is not hexadecimal")
				}
				return strings.ToLower(text), nil
			})})
			return
		}
		secret(&t.Secret)(v)
	}
}

// oidc reads which tokens are taken.
func oidc(into **OIDC) func(value) {
	return func(v value) {
		var o OIDC
		_, ok := v.object(
			field{name: "issuer", required: true, read: parsed(&o.Issuer, oneLine)},
			field{name: "audience", read: parsed(&o.Audience, oneLine)},
			field{name: "claims", required: true, read: claims(&o.Claims)},
			field{name: "ca_file", read: func(v value) {
				parsed(&o.CAFile, oneLine)(v)
				if o.CAFile == "" || v.options.ReadFile == nil {
					return
				}
				content, err := v.options.ReadFile(o.CAFile)
				if err != nil {
					v.refuseFor(unreadable(err))
				}
				o.CA = content
			}},
		)
		if ok {
			*into = &o
		}
	}
}

// claims reads names of claims with a value, or with a list of values.
func claims(into *map[string][]string) func(value) {
	return func(v value) {
		if !v.is(yaml.MappingNode, "keys and values") {
			return
		}
		if n := len(v.node.Content) / 2; n == 0 || n > maxClaims {
			v.refuse("must name from 1 to %d claims", maxClaims)
			return
		}
		*into = make(map[string][]string, len(v.node.Content)/2)
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			key, node := v.node.Content[i], v.node.Content[i+1]
			at := v.inside(key.Value, node)
			if !plainKey.MatchString(key.Value) && !claimPattern.MatchString(key.Value) {
				v.add(&Error{Line: key.Line, Key: v.key, Detail: quote(key.Value) + " is no name of a claim"})
				continue
			}
			if _, twice := (*into)[key.Value]; twice {
				v.add(&Error{Line: key.Line, Key: at.key, Detail: "is given twice"})
				continue
			}
			v.lines[at.key] = node.Line
			var values []string
			if node.Kind == yaml.SequenceNode {
				list(&values, claimValue)(at)
			} else {
				values = make([]string, 1)
				claimValue(&values[0])(at)
			}
			(*into)[key.Value] = values
		}
	}
}

// claimValue reads a text, or a whole number, which stands for its digits.
func claimValue(into *string) func(value) {
	return func(v value) {
		if v.node.Kind == yaml.ScalarNode && v.node.ShortTag() == "!!int" && v.node.Anchor == "" && decimal.MatchString(v.node.Value) {
			*into = v.node.Value
			return
		}
		parsed(into, anyText)(v)
	}
}

var claimPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$`)

var plainNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func plainName(text string) (string, error) {
	if !plainNamePattern.MatchString(text) {
		return "", fmt.Errorf("%s is no name: up to 64 letters, digits, dots, hyphens and underscores, a letter or digit first", quote(text))
	}
	return text, nil
}

// choice takes one of the words.
func choice(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if !slices.Contains(words, text) {
			return "", fmt.Errorf("%s is not one of %s", quote(text), strings.Join(words, ", "))
		}
		return text, nil
	}
}

// uniqueNames refuses names that several callers, or rules, bear.
func (r *reader) uniqueNames(list string, names []string) {
	first := make(map[string]int, len(names))
	for i, name := range names {
		if name == "" { // refused already
			continue
		}
		if other, seen := first[name]; seen {
			r.taken(fmt.Sprintf("%s[%d]", list, i), fmt.Sprintf("%s[%d] has the name %s too", list, other, quote(name)))
			continue
		}
		first[name] = i
	}
}
