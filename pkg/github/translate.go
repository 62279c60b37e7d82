package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	gh "github.com/google/go-github/v62/github"

	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

const (
	// maxErrorBody bounds what is read of an answer that is an error.
	maxErrorBody = 64 << 10
	// maxDetail bounds the text of others that goes into Error.Detail, in bytes.
	maxDetail = 300
)

// headerTokenExpires is when a personal access token ends, if it does.
const headerTokenExpires = "GitHub-Authentication-Token-Expiration"

// Permissions in GitHub's own form.
const (
	contentsWrite  = "contents=write"
	workflowsWrite = "workflows=write"
)

// translate turns into an error of this package what a request ended with. It is the only place where
// errors of other packages become errors of this one.
func translate(ctx context.Context, op string, resp *gh.Response, err error) error {
	if err == nil {
		return nil
	}
	var limited *RateLimitError
	if errors.As(err, &limited) {
		return limited
	}
	var done *Error
	if errors.As(err, &done) {
		return done
	}
	if ctx.Err() != nil {
		return &Error{Kind: ErrUpstream, Op: op, Err: context.Cause(ctx), Detail: "the request was given up before GitHub answered"}
	}
	var refused *gh.ErrorResponse
	var refusedOTP *gh.TwoFactorAuthError
	switch {
	case errors.As(err, &refused):
		return refusal(op, refused.Response)
	case errors.As(err, &refusedOTP):
		return refusal(op, refusedOTP.Response)
	case resp != nil && resp.Response != nil && isPage(resp.Header):
		return notGitHub(op, resp.StatusCode)
	case resp != nil && resp.Response != nil:
		return nonsense(op, resp.StatusCode, err)
	}
	return unreachable(op, err)
}

// refusal is the error of an answer that is none of 2xx.
func refusal(op string, resp *http.Response) *Error {
	b := peekAnswer(resp)
	if b.foreign {
		return notGitHub(op, resp.StatusCode)
	}
	e := &Error{Op: op, Status: resp.StatusCode, Detail: b.quote(), text: strings.ToLower(b.message), words: ": " + b.quote()}
	switch {
	case isProtection(e.text) && (e.Status == http.StatusForbidden || e.Status == http.StatusUnprocessableEntity || e.Status == http.StatusConflict):
		e.Kind = ErrBranchProtected
		e.Detail = "a branch protection rule or ruleset refuses the commit; let this credential bypass it, or choose another branch: " + b.quote()
	case e.Status == http.StatusUnauthorized:
		e.Kind = ErrUnauthorized
		e.Detail = unauthorized(resp, b)
	case e.Status == http.StatusForbidden || e.Status == http.StatusUnavailableForLegalReasons:
		forbidden(e, resp.Header)
	case e.Status == http.StatusNotFound:
		e.Kind = ErrRepositoryNotFound
		e.Detail = "GitHub does not show it: check the name, and that the credential has access to the repository"
	case e.Status == http.StatusConflict && strings.Contains(e.text, "empty"):
		e.Kind = ErrBranchNotFound
		e.Detail = "the repository is empty; push a first commit"
	case e.Status >= 300 && e.Status < 400:
		e.Kind = ErrUpstream
		e.Detail = "GitHub redirects to another place, which is not followed with the credential; check the API URL"
	default:
		e.Kind = ErrUpstream
	}
	return e
}

func unauthorized(resp *http.Response, b errorBody) string {
	if expires := resp.Header.Get(headerTokenExpires); expires != "" {
		return fmt.Sprintf("the token is not accepted, it expires or expired at %.40s; set a new one: %s", expires, b.quote())
	}
	return "the credential is wrong, expired or revoked; set a valid one: " + b.quote()
}

// forbidden classifies a 403.
func forbidden(e *Error, h http.Header) {
	e.Kind = ErrForbidden
	switch {
	case h.Get("X-GitHub-SSO") != "" || strings.Contains(e.text, "saml"):
		e.AuthorizeURL = ssoURL(h.Get("X-GitHub-SSO"))
		e.Detail = "the organization requires single sign-on; authorise the token for it"
		if e.AuthorizeURL != "" {
			e.Detail += " at " + e.AuthorizeURL
		}
	case strings.Contains(e.text, "archived"):
		e.Detail = "the repository is archived and read-only; unarchive it or remove it from the targets"
	case strings.Contains(e.text, "login attempts"):
		e.Kind = ErrUnauthorized
		e.Detail = "GitHub blocks the account for a while after many wrong credentials; set a valid one and wait"
	case mentionsWorkflow(e.text):
		e.Permission = workflowsWrite
		e.Detail = "changing files under .github/workflows needs the permission Workflows: write"
	case isPermission(e.text):
		e.Permission = firstPermission(h.Get("X-Accepted-GitHub-Permissions"))
		if e.Permission == "" {
			e.Permission = contentsWrite
		}
		e.Detail = fmt.Sprintf("the credential lacks the permission %s on the repository; grant it", e.Permission)
	}
}

// wrongAppKey is the usual cause of a 401 for a GitHub App.
const wrongAppKey = "the GitHub App's ID and private key do not belong together, the key was deleted, or this machine's clock is wrong"

// mintRefusal adds to the error of a request for an installation token what it
// means there.
func mintRefusal(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Status {
	case http.StatusUnauthorized:
		e.Detail = wrongAppKey + e.words
	case http.StatusNotFound:
		e.Kind = ErrUnauthorized
		e.Detail = "the GitHub App has no such installation; check the installation's ID, or leave it out to look it up"
	case http.StatusForbidden:
		e.Kind = ErrUnauthorized
		e.Detail = "the GitHub App's installation is suspended" + e.words
	case http.StatusUnprocessableEntity:
		e.Kind, e.Permission = ErrForbidden, contentsWrite
		e.Detail = "the GitHub App's installation lacks the repository or the permission Contents: write; grant both" + e.words
	}
	return err
}

// pullsRefusal is the error of a request for a token that may write pull requests.
func pullsRefusal(err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.Kind, e.Permission = ErrForbidden, pullsWrite
		e.Detail = "the GitHub App's installation lacks the permission pull_requests=write; grant Pull requests: write" + e.words
	}
	return err
}

// nonsense is the error of an answer that could not be understood.
func nonsense(op string, status int, err error) *Error {
	return &Error{Kind: ErrUpstream, Op: op, Status: status, Err: err, Detail: "the answer is not understood: " + oneLine(err.Error())}
}

// notGitHub is the error of a page in place of an answer of the API.
func notGitHub(op string, status int) *Error {
	return &Error{
		Kind: ErrUpstream, Op: op, Status: status, NotGitHub: true,
		Detail: "an HTML page came in place of an answer of GitHub's API; check GITHUB_API_URL or the proxy",
	}
}

// isOwnPage reports whether an answer that is a page is GitHub's: it has some for its
// own failures, and for requests that it takes for abuse. Its website has others.
func isOwnPage(resp *http.Response) bool {
	return resp.Header.Get("X-GitHub-Request-Id") != "" && (resp.StatusCode >= 500 || resp.StatusCode == http.StatusForbidden)
}

func isPage(h http.Header) bool { return strings.Contains(h.Get("Content-Type"), "html") }

// unreachable is the error of a request that got no answer.
func unreachable(op string, err error) *Error {
	cause := err
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		cause = wrapped.Err
	}
	reason := cause.Error()
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		reason = "no answer in time"
		cause = errors.New(reason) // the deadline was this request's, not the caller's
	}
	return &Error{Kind: ErrUpstream, Op: op, Err: cause, Detail: "GitHub could not be reached: " + oneLine(reason)}
}

// moved is the error of a lost race.
func moved(op string) *Error {
	return &Error{Kind: ErrBranchMoved, Op: op, Detail: "somebody else pushed to the branch; nothing was written"}
}

// isProtection knows the words of branch protection and rulesets, which come
// with 422, sometimes with 403 or 409.
func isProtection(text string) bool {
	for _, words := range []string{
		"protected branch", "protected ref", "rule violations", "not authorized to push", "required status check",
		"approving review", "approved review", "made through a pull request", "verified signatures",
		"must not contain merge commits", "merge queue", "cannot force-push", "locked branch", "secret detected",
		"push declined due to", "hook declined",
	} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

func isPermission(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "not accessible by") || strings.Contains(text, "must have") ||
		strings.Contains(text, "archived") || strings.Contains(text, "saml") || mentionsWorkflow(text)
}

func mentionsWorkflow(text string) bool {
	return strings.Contains(text, "without `workflow") || strings.Contains(text, "workflow` scope")
}

// firstPermission takes the first alternative of the header's "a=write; a=write,b=write".
func firstPermission(header string) string {
	first, _, _ := strings.Cut(header, ";")
	return oneLine(first)
}

// ssoURL reads the address out of "required; url=https://…".
func ssoURL(header string) string {
	_, address, _ := strings.Cut(header, "url=")
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Scheme != "https" {
		return ""
	}
	return u.String()
}

// errorBody is the body of an error response.
type errorBody struct {
	message string
	html    bool
	// foreign reports that the page is not one of GitHub's own error pages.
	foreign bool
}

// quote is the message as one line in quotes, fit for Error.Detail.
func (b errorBody) quote() string {
	switch {
	case b.html:
		return "GitHub answered an HTML page"
	case b.message == "":
		return "GitHub gave no reason"
	}
	return fmt.Sprintf("GitHub says %q", oneLine(b.message))
}

// peekAnswer reads a bounded part of an error response's body, and replaces the body by
// what it read. GitHub's errors field is a list of objects, a list of strings or one string.
func peekAnswer(resp *http.Response) errorBody {
	data, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // half a message is better than none
	closeBody(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(data))
	var body struct {
		Message string          `json:"message"`
		Errors  json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		html := bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) || isPage(resp.Header)
		return errorBody{html: html, foreign: html && !isOwnPage(resp)}
	}
	texts := append([]string{body.Message}, reasons(body.Errors)...)
	return errorBody{message: strings.TrimSpace(strings.Join(texts, " "))}
}

func reasons(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var each []json.RawMessage
	if json.Unmarshal(raw, &each) != nil {
		return nil
	}
	var out []string
	for _, item := range each {
		var object struct{ Message, Field, Code string }
		switch {
		case json.Unmarshal(item, &one) == nil:
			out = append(out, one)
		case json.Unmarshal(item, &object) != nil:
		case object.Message != "":
			out = append(out, object.Message)
		default:
			out = append(out, strings.TrimSpace(object.Field+" "+object.Code))
		}
	}
	return out
}

// oneLine makes foreign text fit for Error.Detail.
func oneLine(text string) string { return safetext.Line(text, maxDetail) }

func closeBody(body io.Closer) {
	if body != nil {
		_ = body.Close() // nothing more is wanted of it
	}
}
