//go:build openapi

package acceptance_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// The file api.github.com.json of GitHub's published description; .ci/octokit/run
// gets it.
var description = flag.String("openapi", "", "GitHub's OpenAPI description")

// notDescribed are findings that are no fault: GitHub's documentation tells of them
// in prose, and its description leaves them out.
var notDescribed = map[string]string{
	"GET /_archives/":      "the address of an archive, which is no part of the API",
	"status 304":           "conditional requests: best practices for using the REST API",
	"status 502":           "any request may fail so",
	"status 401":           "authenticating to the REST API",
	"GET /repositories/":   "where a renamed repository redirects to",
	"POST /repositories/":  "where a renamed repository redirects to",
	"PATCH /repositories/": "where a renamed repository redirects to",
	"type application/vnd": "a media type that was asked for",
}

// Every request of the service, in every kind of update that there is, is one that
// GitHub describes, and so is every answer that it was tested with.
func TestExchangesAgainstGitHubsOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(*description)
	if err != nil {
		t.Fatal(err)
	}
	seen := &recorder{}
	for name, run := range exchangesOf {
		t.Run(name, func(t *testing.T) { run(t, seen) })
	}
	known, operations := map[string]int{}, map[string]int{}
	for _, e := range seen.exchanges() {
		template, findings := examine(doc, e)
		operations[fmt.Sprintf("%s %s %d", e.Method, template, e.Status)]++
		for _, finding := range findings {
			if why := excuse(finding); why != "" {
				known[finding+" ("+why+")"]++
				continue
			}
			t.Errorf("%s %s: %s\n%.300s", e.Method, e.URL, finding, e.Body)
		}
	}
	for _, name := range sortedKeys(operations) {
		t.Logf("%4d × %s", operations[name], name)
	}
	for _, finding := range sortedKeys(known) {
		t.Logf("not described, %d times: %s", known[finding], finding)
	}
}

func excuse(finding string) string {
	for prefix, why := range notDescribed {
		if strings.HasPrefix(finding, prefix) {
			return why
		}
	}
	return ""
}

// exchangesOf are updates of every kind, each through the recorder.
var exchangesOf = map[string]func(*testing.T, *recorder){
	"a token, few files": func(t *testing.T, seen *recorder) {
		w := start(t, seen.between)
		w.get("/readyz")
		w.post(`{"image": "` + node + `", "version": "1", "dry_run": true}`)
		wantCommitted(t, w.post(mission))
		wantCommitted(t, w.post(setTo(node, "second")))
		w.push(map[string]string{"apps/other.yaml": deployment(worker + ":1")})
		wantCommitted(t, w.post(setTo(worker, "third")))
		w.post(setTo(worker, "third"))
	},
	"an archive, several trees, an author": func(t *testing.T, seen *recorder) {
		w := start(t, seen.between, withEnv("COMMIT_AUTHOR", "Octo Org <octo@example.com>"), withFiles(versioned(manyFiles(150))))
		wantCommitted(t, w.post(mission))
	},
	"a truncated tree": func(t *testing.T, seen *recorder) {
		w := start(t, seen.between, withFiles(manyFiles(60)))
		w.hub.Configure(func(s *sandbox.Settings) { s.TreeEntries = 20 })
		wantCommitted(t, w.post(mission))
	},
	"an older server": func(t *testing.T, seen *recorder) {
		w := start(t, seen.between)
		w.hub.Configure(func(s *sandbox.Settings) { s.Base64Blobs, s.NoTarball = true, true })
		wantCommitted(t, w.post(mission))
	},
	"an App": func(t *testing.T, seen *recorder) {
		w := start(t, seen.between, asApp(nil))
		wantCommitted(t, w.post(mission))
	},
	"a signing key": func(t *testing.T, seen *recorder) {
		private, _ := pgpKey(t)
		w := start(t, seen.between, withEnv("COMMIT_SIGNING_KEY", private))
		wantCommitted(t, w.post(mission))
	},
	"a lost race and a lost answer": func(t *testing.T, seen *recorder) {
		w := start(t, seen.between)
		push := sandbox.Push{Branch: "main", Message: "first", Files: map[string]string{"a.yaml": "a: 1\n"}}
		w.hub.Inject(sandbox.Competitor(push).On(http.MethodPatch, "git/refs").Once())
		wantCommitted(t, w.post(mission))
		w.hub.Inject(sandbox.BadGatewayAfter().On(http.MethodPatch, "git/refs").Once())
		push.Files = map[string]string{"b.yaml": "b: 1\n"}
		w.hub.Inject(sandbox.Competitor(push).On(http.MethodGet, "branches").Once())
		wantCommitted(t, w.post(setTo(node, "second")))
	},
	"a renamed repository": func(t *testing.T, seen *recorder) {
		w := start(t, seen.between)
		w.must(w.hub.Rename(repoName, repoName+"-renamed"))
		wantCommitted(t, w.post(mission))
	},
	"refusals": func(t *testing.T, seen *recorder) {
		w := start(t, seen.between, withFiles(map[string]string{workflow: "container: " + node + ":1\n"}))
		less := sandbox.Token{Name: "service", Permissions: sandbox.Permissions{"contents": sandbox.Write}}
		w.hub.AddToken(githubToken, less)
		wantCommitted(t, w.post(mission))
		w.repo.Protect("main", sandbox.Protection{Ruleset: true})
		w.post(setTo(node, "ruled"))
		w.repo.Unprotect("main")
		less.Permissions = sandbox.Permissions{"contents": sandbox.Read}
		w.hub.AddToken(githubToken, less)
		w.post(setTo(node, "forbidden"))
		w.hub.RemoveToken(githubToken)
		w.post(setTo(node, "unauthorized"))
	},
	"a branch that is not there": func(t *testing.T, seen *recorder) {
		w := start(t, seen.between, withEnv("GITHUB_BRANCH", "none"))
		w.post(mission)
	},
}

// examine holds one exchange against the description.
func examine(doc *openapi3.T, e exchange) (template string, findings []string) {
	find := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }
	path, query, _ := strings.Cut(e.URL, "?")
	template, item := findPath(doc, path)
	if item == nil || item.GetOperation(e.Method) == nil {
		find("%s %s is not described", e.Method, path)
		return path, findings
	}
	operation := item.GetOperation(e.Method)
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if name != "" && operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			find("query %s is not described", name)
		}
	}
	if e.Body != "" {
		findings = append(findings, examineRequest(operation, e)...)
	}
	return template, append(findings, examineAnswer(operation, e)...)
}

func examineRequest(operation *openapi3.Operation, e exchange) (findings []string) {
	if operation.RequestBody == nil {
		return []string{"a body is not described"}
	}
	media := operation.RequestBody.Value.Content.Get("application/json")
	var body any
	if err := json.Unmarshal([]byte(e.Body), &body); err != nil {
		return []string{"the body is no JSON: " + err.Error()}
	}
	if err := media.Schema.Value.VisitJSON(body); err != nil {
		findings = append(findings, "the body: "+firstLine(err))
	}
	fields, _ := body.(map[string]any)
	for name := range fields {
		if media.Schema.Value.Properties[name] == nil {
			findings = append(findings, "the body's field "+name+" is not described")
		}
	}
	return findings
}

func examineAnswer(operation *openapi3.Operation, e exchange) []string {
	described := operation.Responses.Status(e.Status)
	if described == nil {
		return []string{fmt.Sprintf("status %d of %s %s is not described", e.Status, e.Method, operation.OperationID)}
	}
	kind, _, _ := strings.Cut(e.Type, ";")
	media := described.Value.Content.Get(kind)
	switch {
	case e.Answer == "":
		return nil
	case media == nil || kind != "application/json":
		return []string{fmt.Sprintf("type %s of %s is not described", kind, operation.OperationID)}
	}
	var body any
	if err := json.Unmarshal([]byte(e.Answer), &body); err != nil {
		return []string{"the answer is no JSON: " + err.Error()}
	}
	if err := media.Schema.Value.VisitJSON(body); err != nil {
		return []string{fmt.Sprintf("the answer %d: %s", e.Status, firstLine(err))}
	}
	return nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// findPath returns the template that fits best: the one with the fewest variables.
// The last variable of one may stand for several segments, as a ref does.
func findPath(doc *openapi3.T, path string) (template string, item *openapi3.PathItem) {
	segments := strings.Split(path, "/")
	fewest := len(segments) + 1
	for candidate, found := range doc.Paths.Map() {
		if n, fits := variables(strings.Split(candidate, "/"), segments); fits && n < fewest {
			template, item, fewest = candidate, found, n
		}
	}
	return template, item
}

func variables(template, path []string) (n int, fits bool) {
	isVariable := func(segment string) bool { return strings.HasPrefix(segment, "{") }
	last := len(template) - 1
	if len(path) < len(template) || len(path) > len(template) && template[last] != "{ref}" {
		return 0, false
	}
	for i, segment := range template {
		if isVariable(segment) {
			n++
		} else if segment != path[i] {
			return 0, false
		}
	}
	return n, true
}
