package caller

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Claims are the claims of a verified token.
type Claims struct {
	texts    map[string]string
	audience []string
	expires  time.Time
	notYet   time.Time // the later of nbf and iat
}

// isFor reports whether the audience is one of the token's.
func (c Claims) isFor(audience string) bool { return slices.Contains(c.audience, audience) }

// text returns a claim's text, or "".
func (c Claims) text(name string) string { return c.texts[name] }

// ParseClaims returns the texts of a token's payload, as a Principal's claims are.
func ParseClaims(payload []byte) (map[string]string, error) {
	c, err := parseClaims(payload)
	return c.texts, err
}

// parseClaims reads a token's payload. Texts, numbers and booleans are kept as
// texts; lists and objects are not.
func parseClaims(payload []byte) (Claims, error) {
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	var raw map[string]any
	if err := decoder.Decode(&raw); err != nil {
		return Claims{}, err
	}
	c := Claims{texts: make(map[string]string, len(raw))}
	for name, value := range raw {
		switch v := value.(type) {
		case string:
			c.texts[name] = v
		case json.Number:
			c.texts[name] = v.String()
		case bool:
			c.texts[name] = strconv.FormatBool(v)
		}
	}
	c.audience = listOf(raw["aud"])
	c.expires = timeOf(raw["exp"])
	c.notYet = timeOf(raw["nbf"])
	if issued := timeOf(raw["iat"]); issued.After(c.notYet) {
		c.notYet = issued
	}
	return c, nil
}

// listOf is a text or a list of texts (RFC 7519, section 4.1.3).
func listOf(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var texts []string
		for _, each := range v {
			if text, ok := each.(string); ok {
				texts = append(texts, text)
			}
		}
		return texts
	}
	return nil
}

// timeOf reads a NumericDate (RFC 7519, section 2); zero for anything else.
func timeOf(value any) time.Time {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(number.String(), 64)
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// unverifiedIssuer returns the token's iss before its signature is verified. It may
// only select the issuer that verifies the token.
func unverifiedIssuer(token string) (string, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return "", false
	}
	return claims.Issuer, claims.Issuer != ""
}
