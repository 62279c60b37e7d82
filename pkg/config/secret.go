package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
)

// hidden is what a secret prints as.
const hidden = "[hidden]"

// Secret is a text that only Reveal returns: printed, logged or marshalled, with any
// verb, it is a placeholder. Compare the texts of Reveal, in constant time; == compares
// addresses.
type Secret struct {
	// text is a pointer, because package fmt prints the value of an unexported field
	// without calling its methods, but does not follow a pointer.
	text *string
}

// NewSecret keeps a text secret.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text; "" when Parse was given no way to look it up.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns a placeholder.
func (s Secret) String() string { return hidden }

// Format writes the placeholder, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue returns the placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON returns the placeholder.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// MarshalText returns the placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// secret reads {env: NAME}, {file: PATH} or {value: TEXT}. Blanks around the
// text are cut off, whichever way it comes.
func secret(into *Secret) func(value) {
	return func(v value) {
		var env, file, text string
		given, ok := v.object(
			field{name: "env", read: parsed(&env, variableName)},
			field{name: "file", read: parsed(&file, oneLine)},
			field{name: "value", read: parsed(&text, anyText)},
		)
		if !ok {
			return
		}
		if len(given) != 1 {
			v.refuse("say where the secret is by just one of env, file and value")
			return
		}
		at := given[0]
		switch {
		case env != "":
			if v.options.Getenv == nil {
				return
			}
			text = v.options.Getenv(env)
		case file != "":
			if v.options.ReadFile == nil {
				return
			}
			content, err := v.options.ReadFile(file)
			if err != nil {
				at.refuseFor(unreadable(err))
				return
			}
			text = string(content)
		}
		if text = strings.TrimSpace(text); text == "" {
			if env != "" {
				at.refuse("the variable that it names is not set, or empty")
				return
			}
			at.refuse("the secret is empty")
			return
		}
		*into = NewSecret(text)
	}
}

// unreadable leaves out the path, which may be a secret by mistake; line and key lead
// to it.
func unreadable(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	return fmt.Errorf("the file cannot be read: %w", err)
}
