package manifest

import (
	"regexp"
	"strings"
)

// notStrings are the plain scalars that a reader of YAML 1.1 or 1.2 takes for
// null, a boolean or a special number.
var notStrings = map[string]struct{}{
	"": {}, "~": {}, "null": {},
	"y": {}, "yes": {}, "on": {}, "true": {},
	"n": {}, "no": {}, "off": {}, "false": {},
	".inf": {}, "+.inf": {}, "-.inf": {}, ".nan": {},
	"=": {}, "<<": {},
}

// notString matches the plain scalars that a reader of YAML 1.1 or 1.2 takes for
// a number or a date. The rules of both (yaml.org/type, YAML 1.2.2 §10.3.2) are
// joined with what common parsers add: underscores in floats, an exponent
// without sign or point, and sexagesimal numbers.
var notString = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`[-+]?0[bB][-+]?[01_]+`,
	`[-+]?0[oO][-+]?[0-7_]+`,
	`[-+]?0[xX][-+]?[0-9a-fA-F_]+`,
	`[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9_]+)?`,
	`[-+]?\.[0-9_]+(?:[eE][-+]?[0-9_]+)?`,
	`[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?`,
	`[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}.*)?`,
}, "|") + `)$`)

// needsQuotes reports whether a plain scalar may be read as anything but a
// string under YAML 1.1 or 1.2. Some parsers drop the underscores of what begins
// like a number before they look at it.
func needsQuotes(s string) bool {
	if _, ok := notStrings[strings.ToLower(s)]; ok {
		return true
	}
	return notString.MatchString(s) || s[0] != '_' && notString.MatchString(strings.ReplaceAll(s, "_", ""))
}

// canonicalInteger matches the plain integers that every reader prints as they
// are written.
var canonicalInteger = regexp.MustCompile(`^(?:0|-?[1-9][0-9]{0,17})$`)

// readsAsItself reports whether a plain scalar, though it may be a number,
// comes out of every reader as it is written.
func readsAsItself(s string) bool {
	return !needsQuotes(s) || canonicalInteger.MatchString(s)
}
