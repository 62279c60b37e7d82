package github_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

func setBody(resp *http.Response, body string) {
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(body))
	resp.ContentLength = int64(len(body))
}

func cutBody(resp *http.Response, after int64) {
	body := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, after), broken{}), body}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// wantKind checks an error's sentinel and status, and that its text is fit for a
// log.
func wantKind(t *testing.T, err, kind error, status int) *github.Error {
	t.Helper()
	var e *github.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v (%T), want a *github.Error", err, err)
	}
	if !errors.Is(err, kind) || e.Status != status {
		t.Fatalf("error %v with status %d, want %v with %d", err, e.Status, kind, status)
	}
	if e.Op == "" || e.Detail == "" || len(e.Detail) > 700 || strings.ContainsAny(err.Error(), "\n\r<") {
		t.Errorf("the error's text is no line for a log: %q", err.Error())
	}
	return e
}
