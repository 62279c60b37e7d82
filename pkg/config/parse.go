package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

const (
	// MaxSize bounds a file in bytes. A file with a thousand targets is well below it.
	MaxSize = 1 << 20
	// MaxErrors is how many errors are reported together: about a screen.
	MaxErrors = 20
)

// Options look up secrets, and check values that other packages define. The zero value
// does neither.
type Options struct {
	// Getenv looks up a secret's variable, and ReadFile its file. If one is nil, such
	// secrets stay empty, for a check on a machine without them.
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	// Targets are names of targets that exist outside of the file: a webhook may
	// name them, and no target of the file may have one of them.
	Targets []string
	// CheckTarget and CheckWebhook are called with each one that passes this package.
	// An error is reported at the line of the target or webhook; if it is or wraps
	// an *Error with a Key, such as tags.regexp, then at that key of it, with that
	// error's Detail. The text must be fit to be shown.
	CheckTarget  func(Target) error
	CheckWebhook func(Webhook) error
	CheckCaller  func(Caller) error
	CheckRule    func(Rule) error
	CheckNotify  func(Notify) error
	// Callers are names of callers that exist outside of the file: a rule may name
	// them, and a caller of the file may add secrets to one.
	Callers []string
}

// Parse reads and checks a file's content; name is what errors call it. The
// error is of type Errors; it wraps ErrTooLarge for more than MaxSize bytes.
func Parse(name string, content []byte, o Options) (*File, error) {
	r := &reader{file: name, options: o, lines: map[string]int{}}
	var f File
	if root, ok := r.document(content); ok {
		r.read(root, &f)
	}
	if len(r.errors) > 0 {
		return nil, r.report()
	}
	return &f, nil
}

// read fills in the whole file.
func (r *reader) read(root value, f *File) {
	root.object(
		field{name: "targets", read: list(&f.Targets, target)},
		field{name: "webhooks", read: list(&f.Webhooks, webhook)},
		field{name: "callers", read: list(&f.Callers, caller)},
		field{name: "rules", unset: "[] allows nothing, and without the key every caller may do everything", read: rules(f)},
		field{name: "policy", read: func(v value) {
			var word string
			parsed(&word, choice("enforce", "audit"))(v)
			f.Audit = word == "audit"
		}},
		field{name: "registries", read: registries(&f.Registries)},
		field{name: "notify", read: list(&f.Notify, notify)},
		field{name: "queue", read: object(
			field{name: "retention", read: duration(&f.Queue.Retention, minRetention, maxRetention)},
			field{name: "max_waiting", read: number(&f.Queue.MaxWaiting, 1, maxWaiting)},
			field{name: "max_history", read: size(&f.Queue.MaxHistory, minHistory, maxHistory)},
		)},
		field{name: "limits", read: object(
			field{name: "webhook_body", read: size(&f.Limits.WebhookBody, minWebhookBody, maxWebhookBody)},
			field{name: "bodies", read: size(&f.Limits.Bodies, minBodies, maxBodies)},
		)},
	)
	r.roomForBodies(f.Limits)
	r.uniqueTargets(f.Targets)
	r.uniqueWebhooks(f.Webhooks)
	r.knownTargets(f)
	r.checkTrust(f)
	r.checkNotify(f)
}

// reader collects what is wrong with one file.
type reader struct {
	file    string
	options Options
	errors  Errors
	// found counts all errors, including those beyond MaxErrors.
	found int
	// lines has the line of each key that was read.
	lines map[string]int
}

// document returns the root of the only document.
func (r *reader) document(content []byte) (value, bool) {
	if len(content) > MaxSize {
		r.add(&Error{Detail: fmt.Sprintf("the file has more than %d bytes", MaxSize), Err: ErrTooLarge})
		return value{}, false
	}
	documents, err := decode(content)
	if err != nil {
		r.syntax(err)
		return value{}, false
	}
	switch len(documents) {
	case 1:
		if root := documents[0].Content[0]; !isNull(root) && (root.Kind != yaml.MappingNode || len(root.Content) > 0) {
			return value{reader: r, node: root}, true
		}
		fallthrough
	case 0:
		r.add(&Error{Detail: "the file is empty: name at least a target or a webhook"})
	default:
		r.add(&Error{Line: documents[1].Line, Detail: "a second document begins here: the file must be one"})
	}
	return value{}, false
}

// decode returns up to two documents; a second one is an error of the caller's.
func decode(content []byte) (documents []*yaml.Node, err error) {
	// The parser is a translation of a C library, and panics on some malformed input.
	defer func() {
		if p := recover(); p != nil {
			documents, err = nil, fmt.Errorf("yaml: %v", p)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for len(documents) < 2 {
		document := new(yaml.Node)
		switch err := decoder.Decode(document); {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return nil, err
		}
		documents = append(documents, document)
	}
	return documents, nil
}

var (
	parserError  = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	unknownAlias = regexp.MustCompile(`^unknown anchor '.*' referenced$`)
)

// syntax reports an error of the parser, whose line may be the one at which an
// unfinished list or mapping begins. The parser's text repeats nothing of the content
// but the name of an anchor, which is left out: it may be a secret that begins with an
// asterisk.
func (r *reader) syntax(err error) {
	detail := err.Error()
	var at int
	if match := parserError.FindStringSubmatch(detail); match != nil {
		at, _ = strconv.Atoi(match[1])
		detail = detail[len(match[0]):]
	}
	if unknownAlias.MatchString(detail) {
		detail = "an alias of an unknown anchor: text that begins with * needs quotes"
	}
	where := "not YAML: "
	if at > 0 {
		where = "not YAML, in this line or after it: "
	}
	r.add(&Error{Line: at, Detail: where + brief(detail)})
}

// add keeps one error.
func (r *reader) add(e *Error) {
	e.File = r.file
	r.found++
	if len(r.errors) < MaxErrors {
		r.errors = append(r.errors, e)
	}
}

// report returns the errors in the order of their lines.
func (r *reader) report() Errors {
	errs := r.errors
	if r.found > MaxErrors {
		errs = errs[:MaxErrors-1]
	}
	slices.SortStableFunc(errs, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	if more := r.found - len(errs); more > 0 {
		errs = append(errs, &Error{File: r.file, Detail: fmt.Sprintf("%d more errors are not shown", more)})
	}
	return errs
}
