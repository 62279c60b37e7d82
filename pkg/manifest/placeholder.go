package manifest

import "strings"

// placeholders begin what other tools than templates of Go fill in: replace tokens
// of Azure (#{x}#), Harness (<+x>), Concourse (((x))), Ant (@@x@@), CircleCI
// (<<x>>) and others.
var placeholders = [...]string{"{{", "${{", "#{", "<+", "((", "@@", "<<", "[[", "<%"}

// interpolated returns why a text is not literal: it holds a placeholder or a
// variable. A literal text has no reason.
func interpolated(text string) Reason {
	for _, begin := range placeholders {
		if strings.Contains(text, begin) {
			return Templated
		}
	}
	if strings.Contains(text, "$") {
		return Variable
	}
	if first := strings.IndexByte(text, '%'); first >= 0 && strings.IndexByte(text[first+1:], '%') > 0 {
		return Templated
	}
	return ""
}

// interpolation returns why a reference is not literal that ends before rest: it
// goes on with a placeholder or a variable.
func interpolation(before, rest string) Reason {
	if rest == "" {
		return ""
	}
	for _, begin := range placeholders {
		if strings.HasPrefix(rest, begin) {
			return Templated
		}
	}
	switch last := before[len(before)-1]; {
	case rest[0] == '$' && len(rest) > 1 && (rest[1] == '{' || rest[1] == '(' || isWordByte(rest[1])):
		return Variable
	case rest[0] == '%' && len(rest) > 1 && isWordByte(rest[1]):
		return Templated
	case (last == ':' || last == '@') && strings.IndexByte("{[<(!", rest[0]) >= 0:
		return Templated // of a kind that is not known
	}
	return ""
}
