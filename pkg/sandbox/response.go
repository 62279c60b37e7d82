package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

// response is what a handler returns on success.
type response struct {
	status      int // 0 means 200
	body        any // sent as JSON, unless raw is there
	raw         []byte
	contentType string // of raw; empty means JSON that is encoded already
	location    string
	version     string // names the representation for the ETag; empty means its bytes do
}

func (a *response) encode() ([]byte, error) {
	if a.raw != nil || a.body == nil {
		return a.raw, nil
	}
	return encodeJSON(a.body)
}

// encodeJSON writes JSON as GitHub does: compact and without escaping <, > and &.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// refusal is an error response in GitHub's form.
type refusal struct {
	status  int
	message string
	doc     string // empty means the operation's own page
	errors  any    // a list of objects, a list of strings or one string
	header  map[string]string
	html    string // sent in place of JSON
	foreign bool   // the response is not GitHub's
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.status, r.message) }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, message: fmt.Sprintf(format, args...)}
}

// docsRoot is the documentation_url of answers that belong to no operation,
// and the beginning of all others.
const docsRoot = "https://docs.github.com/rest"

func notFound() *refusal { return refuse(http.StatusNotFound, "Not Found") }

// invalid is a 422.
func invalid(format string, args ...any) *refusal {
	return refuse(http.StatusUnprocessableEntity, format, args...)
}

// fieldError is one line of "errors".
type fieldError struct {
	Resource string `json:"resource"`
	Code     string `json:"code"`
	Field    string `json:"field"`
	Message  string `json:"message,omitempty"`
}

// errorBody is every error of GitHub; status is a string.
type errorBody struct {
	Message          string `json:"message"`
	Errors           any    `json:"errors,omitempty"`
	DocumentationURL string `json:"documentation_url"`
	Status           string `json:"status"`
}

// toRefusal turns any error of a handler into a response. An unexpected error becomes a
// 500 that names its cause, because this is a test tool.
func toRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	if errors.Is(err, bare.ErrNotFound) || errors.Is(err, bare.ErrNoRef) || errors.Is(err, ErrNotFound) {
		return notFound()
	}
	return &refusal{
		status: http.StatusInternalServerError, doc: docsRoot,
		message: "The embedded GitHub failed: " + err.Error(),
	}
}
