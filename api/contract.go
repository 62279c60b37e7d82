package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/gin-gonic/gin"

	openapi "github.com/refty-yapi/refty-node-versions-service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

// contract is openapi.yaml, ready to check requests. It is immutable.
type contract struct {
	doc        *openapi3.T
	operations map[string]operation // by method and gin's route
}

type operation struct {
	method string
	path   string
	item   *openapi3.PathItem
	*openapi3.Operation
}

// loadContract reads openapi.yaml once in a process: it takes as long as the rest of
// a start.
var loadContract = sync.OnceValues(func() (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		return nil, fmt.Errorf("load openapi.yaml: %w", err)
	}
	c := &contract{doc: doc, operations: map[string]operation{}}
	for path, item := range doc.Paths.Map() {
		route := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, op := range item.Operations() {
			c.operations[method+" "+route] = operation{method: method, path: path, item: item, Operation: op}
		}
	}
	return c, nil
})

// operation returns the operation that a request is for. HEAD is for that of GET
// (RFC 9110, section 9.3.2).
func (c *contract) operation(g *gin.Context) (operation, bool) {
	method := g.Request.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op, ok := c.operations[method+" "+g.FullPath()]
	return op, ok
}

// secured reports whether the request's operation needs a caller. Paths outside
// the description, such as the pages, do not.
func (c *contract) secured(g *gin.Context) bool {
	op, ok := c.operation(g)
	if !ok {
		return false
	}
	if op.Security != nil {
		return len(*op.Security) > 0
	}
	return len(c.doc.Security) > 0
}

// check ends a request that does not fit its operation with an *invalidError. A
// body's memory is taken from the budget, and given back when the request ends.
func (c *contract) check(bodies *bodyBudget) gin.HandlerFunc {
	return func(g *gin.Context) {
		op, ok := c.operation(g)
		if !ok || op.raw() {
			return
		}
		if err := op.checkParameters(c.doc, g); err != nil {
			abort(g, err)
			return
		}
		if op.RequestBody == nil {
			return
		}
		if err := wantJSON(g.Request.Header); err != nil {
			abort(g, err)
			return
		}
		body, release, err := bodies.read(g.Writer, g.Request, maxBody)
		defer release()
		if err != nil {
			abort(g, err)
			return
		}
		if err := op.checkBody(body); err != nil {
			abort(g, err)
			return
		}
		g.Request.Body = io.NopCloser(bytes.NewReader(body))
		g.Next()
	}
}

// checkParameters checks path, query and headers. The error is an *invalidError.
func (o operation) checkParameters(doc *openapi3.T, g *gin.Context) error {
	if err := o.checkQuery(g.Request); err != nil {
		return err
	}
	err := openapi3filter.ValidateRequest(g.Request.Context(), &openapi3filter.RequestValidationInput{
		Request:    g.Request,
		PathParams: pathParams(g),
		Route:      &routers.Route{Spec: doc, Path: o.path, PathItem: o.item, Method: o.method, Operation: o.Operation},
		Options: &openapi3filter.Options{
			MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true, ExcludeRequestBody: true,
		},
	})
	if err != nil {
		return wrongFields(fieldErrors(err, explainField), 0)
	}
	return nil
}

// checkBody checks a body against the operation's schema. The error is an
// *invalidError.
func (o operation) checkBody(body []byte) error {
	schema := o.RequestBody.Value.Content.Get("application/json").Schema.Value
	value, leftOut, err := strictJSON(body, schema)
	if err != nil {
		return malformed("the body is not one valid JSON value: " + err.Error())
	}
	if err := schema.VisitJSON(value, openapi3.MultiErrors(), openapi3.VisitAsRequest()); err != nil {
		return wrongFields(fieldErrors(err, explainField), leftOut)
	}
	return nil
}

func pathParams(g *gin.Context) map[string]string {
	params := make(map[string]string, len(g.Params))
	for _, p := range g.Params {
		params[p.Key] = p.Value
	}
	return params
}

// raw reports whether the operation takes a body of any type unchecked: a webhook's
// body is parsed only after its sender is authenticated.
func (o operation) raw() bool {
	return o.RequestBody != nil && o.RequestBody.Value.Content["*/*"] != nil
}

// checkQuery refuses parameters that the operation does not have: if a misspelt
// filter were ignored, the answer would be every update.
func (o operation) checkQuery(r *http.Request) error {
	var wrong []FieldError
	for _, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
		if o.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil && o.RequestBody == nil {
			wrong = append(wrong, parameterError(openapi3.ParameterInQuery, name, "is not a parameter of this path; remove it"))
		}
	}
	if wrong == nil {
		return nil
	}
	return wrongFields(wrong, 0)
}

// wantJSON refuses what is not sent as plain JSON in UTF-8.
func wantJSON(h http.Header) error {
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return unsupported("send the body as Content-Type: application/json")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return unsupported("send the body in UTF-8")
	}
	return wantIdentity(h)
}

// wantIdentity refuses what is compressed.
func wantIdentity(h http.Header) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return unsupported("send the body without Content-Encoding")
	}
	return nil
}

func unsupported(detail string) error {
	return &invalidError{status: http.StatusUnsupportedMediaType, code: ProblemCodeUnsupportedMediaType, detail: detail}
}

func malformed(detail string) error {
	return &invalidError{
		status: http.StatusBadRequest, code: ProblemCodeInvalidRequest, detail: detail,
		fields: []FieldError{{Detail: detail}},
	}
}

// maxFieldErrors is how many errors of one request are reported, about a screen.
const maxFieldErrors = 20

// wrongFields returns the error of a well-formed request with wrong fields. It
// reports the first error of each field, and at most maxFieldErrors fields; a last
// entry counts the others, among them more, which fields does not hold.
func wrongFields(fields []FieldError, more int) error {
	slices.SortStableFunc(fields, func(a, b FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
	fields = slices.CompactFunc(fields, func(a, b FieldError) bool {
		return a.Pointer == b.Pointer && (a.Pointer != "" || a.Detail == b.Detail)
	})
	if surplus := len(fields) - maxFieldErrors; surplus > 0 {
		fields, more = fields[:maxFieldErrors], more+surplus
	}
	var parts []string
	for _, f := range fields {
		parts = append(parts, f.label()+f.Detail)
	}
	if more > 0 {
		rest := fmt.Sprintf("and %d more", more)
		fields, parts = append(fields, FieldError{Detail: rest}), append(parts, rest)
	}
	return &invalidError{
		status: http.StatusUnprocessableEntity, code: ProblemCodeInvalidRequest,
		detail: strings.Join(parts, "; "), fields: fields,
	}
}

// label names what the error is about, for a sentence.
func (e FieldError) label() string {
	switch {
	case e.Name != nil:
		return *e.Name + ": "
	case e.Pointer != "":
		return strings.TrimPrefix(e.Pointer, "/") + ": "
	}
	return ""
}

// fieldErrors splits an error of the validation into fields. explain returns a better
// sentence for a field's value than the schema's, or "".
func fieldErrors(err error, explain func(pointer string, value any) string) []FieldError {
	var many openapi3.MultiError
	var schema *openapi3.SchemaError
	var request *openapi3filter.RequestError
	switch {
	case errors.As(err, &request) && request.Parameter != nil && request.Err != nil:
		fields := fieldErrors(request.Err, func(string, any) string { return explainParameter(request.Parameter.Name) })
		for i := range fields {
			fields[i] = parameterError(request.Parameter.In, request.Parameter.Name, fields[i].Detail)
		}
		return fields
	case errors.As(err, &request) && request.Err != nil:
		return fieldErrors(request.Err, explain)
	case errors.As(err, &many):
		var all []FieldError
		for _, one := range many {
			all = append(all, fieldErrors(one, explain)...)
		}
		return all
	case errors.As(err, &schema):
		pointer := pointerOf(schema)
		if detail := explain(pointer, schema.Value); detail != "" {
			return []FieldError{{Pointer: pointer, Detail: detail}}
		}
		return []FieldError{{Pointer: pointer, Detail: explainSchema(schema)}}
	default:
		return []FieldError{{Detail: brief(err.Error())}}
	}
}

// pointerOf returns the RFC 6901 pointer to the wrong value. For an unknown field
// the library points at the object, and names the field in its reason.
func pointerOf(e *openapi3.SchemaError) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	tokens := e.JSONPointer()
	var unknown string
	if _, err := fmt.Sscanf(e.Reason, "property %q is unsupported", &unknown); err == nil {
		tokens = append(tokens, unknown)
	}
	var b strings.Builder
	for _, token := range tokens {
		b.WriteString("/" + escape.Replace(brief(token)))
	}
	return b.String()
}

// parameterError returns the error of a parameter; in is path, query or header.
func parameterError(in, name, detail string) FieldError {
	name = brief(name)
	return FieldError{In: (*FieldErrorIn)(&in), Name: &name, Detail: detail}
}

// explainSchema returns a sentence about the schema's rule that the value breaks.
func explainSchema(e *openapi3.SchemaError) string {
	s := e.Schema
	switch e.SchemaField {
	case "required":
		return "is missing"
	case "properties", "additionalProperties":
		return "is not a field of this request; remove it"
	case "type", "nullable":
		return fmt.Sprintf("must be %s, not %s", strings.Join(s.Type.Slice(), " or "), kindOf(e.Value))
	case "minLength":
		return "must not be empty"
	case "maxLength":
		return fmt.Sprintf("is longer than %d characters", *s.MaxLength)
	case "minItems", "minProperties":
		return "must not be empty; leave it out instead"
	case "maxItems":
		return fmt.Sprintf("has more than %d items", *s.MaxItems)
	case "pattern":
		return "must match " + s.Pattern
	case "format":
		if s.Format == "date-time" {
			return "is no date and time such as 2026-12-24T18:00:00Z"
		}
		return "is no " + s.Format
	default:
		return brief(e.Reason)
	}
}

// kindOf names the JSON type of a decoded value.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	default:
		return "number"
	}
}

// maxShown is how many bytes of a text of unknown origin an answer repeats.
const maxShown = 120

// brief makes a text of unknown origin fit for an answer.
func brief(s string) string { return safetext.Line(s, maxShown) }
