package acceptance_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/refty-yapi/refty-node-versions-service/api"
)

// withMessage is the mission with a message and a source.
func withMessage(t *testing.T, message string, source map[string]string) string {
	t.Helper()
	body := map[string]any{"image": node, "version": "05-06-42a252"}
	if message != "" {
		body["message"] = message
	}
	if source != nil {
		body["source"] = source
	}
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Trailers of a caller's message and ours are one block for git.
func TestTrailersOfAMessageJoinOurs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ message, want string }{
		"trailers":           {"Deploy\n\nWith care.\n\nSigned-off-by: A <a@example.com>\nCo-authored-by: B <b@example.com>", "Signed-off-by Co-authored-by Image Version Update-Id"},
		"a continued one":    {"Deploy\n\nReviewed-by: A\n  and B", "Reviewed-by Image Version Update-Id"},
		"line ends of CRLF":  {"Deploy\r\n\r\nSigned-off-by: A <a@example.com>\r\n", "Signed-off-by Image Version Update-Id"},
		"text":               {"Deploy\n\nWith care.", "Image Version Update-Id"},
		"text with a colon":  {"Deploy\n\nNote: this is prose\nand goes on.", "Image Version Update-Id"},
		"a headline alone":   {"Deploy: now", "Image Version Update-Id"},
		"a URL, an e-mail @": {"Deploy\n\nSee https://example.com/a@b and ssh://git@example.com/x.", "Image Version Update-Id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			r := w.post(withMessage(t, tt.message, nil))
			wantCommitted(t, r)
			message := w.log()[0].Message
			var keys []string
			for line := range strings.Lines(w.git(message, "interpret-trailers", "--parse")) {
				key, _, _ := strings.Cut(line, ":")
				keys = append(keys, key)
			}
			if got := strings.Join(keys, " "); got != tt.want {
				t.Errorf("trailers %q, want %q, of:\n%s", got, tt.want, message)
			}
			if strings.Contains(message, "\r") {
				t.Errorf("message: %q", message)
			}
		})
	}
}

func TestTextsThatMustNotReachACommit(t *testing.T) {
	t.Parallel()
	w := start(t)
	head := w.head()
	for name, tt := range map[string]struct {
		message string
		source  map[string]string
		pointer string
	}{
		"our trailer":                 {"x\n\nUpdate-Id: 1", nil, "/message"},
		"our trailer in another case": {"x\n\nrequested-by: admin", nil, "/message"},
		"a direction override":        {"x \u202e y", nil, "/message"},
		"an isolate":                  {"x \u2066 y", nil, "/message"},
		"a zero-width space":          {"x\u200by", nil, "/message"},
		"a byte order mark":           {"x\ufeffy", nil, "/message"},
		"a C1 character":              {"x\u009by", nil, "/message"},
		"a line separator":            {"x\u2028Update-Id: 1", nil, "/message"},
		"a lone carriage return":      {"x\rUpdate-Id: 1", nil, "/message"},
		"a password":                  {"see https://ci:secret@example.com/x", nil, "/message"},
		"a token":                     {"see https://ghp_secret@example.com/x", nil, "/message"},
		"a password of git":           {"see git+ssh://ci:secret@example.com/x", nil, "/message"},
		"a password in the URL":       {"", map[string]string{"url": "https://ci:secret@example.com/x"}, "/source/url"},
		"a password in the name":      {"", map[string]string{"repository": "https://ci:secret@example.com/x"}, "/source/repository"},
		"a zero width in a revision":  {"", map[string]string{"revision": "abc\u200d"}, "/source/revision"},
		"an override in the URL":      {"", map[string]string{"url": "https://example.com/\u202e"}, "/source/url"},
	} {
		r := w.post(withMessage(t, tt.message, tt.source))
		wantProblem(t, r, http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
		if r.problem.Errors == nil || len(*r.problem.Errors) != 1 || (*r.problem.Errors)[0].Pointer != tt.pointer {
			t.Errorf("%s: %s", name, r.body)
		}
		if strings.Contains(r.body, "secret") {
			t.Errorf("%s: the answer repeats it: %s", name, r.body)
		}
	}
	if w.head() != head || len(w.hub.Requests()) != 0 {
		t.Error("GitHub was asked")
	}
}

// A target may refuse the messages of callers, also on the road through the store.
func TestTargetThatRefusesMessages(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig("targets:\n  - {name: infra, repository: "+repoName+", message: off}\n"))
	for _, prefer := range []string{"", "respond-async"} {
		r := w.post(withMessage(t, "[skip ci] mine", nil), "Prefer", prefer)
		wantProblem(t, r, http.StatusUnprocessableEntity, api.ProblemCodeInvalidRequest)
		if r.problem.Errors == nil || (*r.problem.Errors)[0].Pointer != "/message" || !strings.Contains(r.problem.Detail, "infra") {
			t.Errorf("%s", r.body)
		}
	}
	r := w.post(mission)
	wantCommitted(t, r)
	if message := w.log()[0].Message; !strings.HasPrefix(message, "Update "+node) {
		t.Errorf("message: %s", message)
	}
}
