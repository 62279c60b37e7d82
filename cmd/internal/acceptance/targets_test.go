package acceptance_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

const otherRepo = "octo-org/infra"

const twoTargets = `
targets:
  - repository: refty-yapi/refty-infra-test
    branch: main
  - name: production
    repository: octo-org/infra
    message: "Deploy {name} {version}"
    author: Deploy Bot <deploy-bot@example.com>
`

// wantTargets compares what became of each target: name, repository, status, code.
func wantTargets(t *testing.T, r reply, status int, want ...string) {
	t.Helper()
	var got []string
	for _, target := range r.update.Targets {
		line := target.Repository + " " + string(target.Status)
		if target.Name != nil {
			line = *target.Name + " " + line
		}
		if target.Problem != nil {
			line += " " + string(target.Problem.Code)
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got); diff != "" || r.status != status {
		t.Errorf("status %d, want %d; targets (-want +got):\n%s\n%s", r.status, status, diff, r.body)
	}
}

func TestEveryTargetThatNamesTheImage(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(twoTargets), withRepository(otherRepo, map[string]string{"a.yaml": deployment(node + ":old")}))
	w.repo.Protect("other", sandbox.Protection{Ruleset: true})

	both := w.post(setTo(node, "v1"))
	wantTargets(t, both, http.StatusCreated, "refty-yapi/refty-infra-test committed", "production octo-org/infra committed")
	log, err := w.others[otherRepo].Log("main")
	w.must(err)
	if message := log[0].Message; !strings.HasPrefix(message, "Deploy refty-node v1\n") {
		t.Errorf("message of the target: %q", message)
	}
	if author := log[0].Author; !strings.Contains(author, "Deploy Bot") {
		t.Errorf("author of the target: %s", author)
	}

	wantTargets(t, w.post(setTo(worker, "v2")), http.StatusCreated, "refty-yapi/refty-infra-test committed")
	one := w.post(`{"image": "` + node + `", "version": "v3", "repository": "octo-org/infra"}`)
	wantTargets(t, one, http.StatusCreated, "production octo-org/infra committed")
	wantTargets(t, w.post(setTo(node, "v3")), http.StatusCreated, "refty-yapi/refty-infra-test committed", "production octo-org/infra unchanged")
	wantTargets(t, w.post(setTo(node, "v3")), http.StatusOK, "refty-yapi/refty-infra-test unchanged", "production octo-org/infra unchanged")
	wantTargets(t, w.post(`{"image": "`+node+`", "version": "v4", "dry_run": true}`), http.StatusOK,
		"refty-yapi/refty-infra-test planned", "production octo-org/infra planned")
}

func TestTargetsThatDiffer(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(twoTargets), withRepository(otherRepo, map[string]string{"a.yaml": deployment(node + ":old")}))
	w.others[otherRepo].Protect("main", sandbox.Protection{Ruleset: true})

	some := w.post(setTo(node, "v1"))
	wantTargets(t, some, http.StatusMultiStatus,
		"refty-yapi/refty-infra-test committed", "production octo-org/infra failed branch_protected")
	if some.update.Status != api.StatusFailed {
		t.Errorf("all together: %s", some.update.Status)
	}

	w.repo.Protect("main", sandbox.Protection{Ruleset: true})
	all := w.post(setTo(node, "v2"))
	wantProblem(t, all, http.StatusConflict, api.ProblemCodeBranchProtected)
	for _, name := range []string{repoName, otherRepo} {
		if !strings.Contains(all.problem.Detail, name) {
			t.Errorf("detail without %s: %s", name, all.problem.Detail)
		}
	}
	wantProblem(t, w.post(setTo("ghcr.io/octo-org/nobody", "v2")), http.StatusNotFound, api.ProblemCodeImageNotReferenced)
	wantProblem(t, w.post(`{"image": "nginx", "version": "1", "repository": "octo-org/other"}`), http.StatusNotFound, api.ProblemCodeRepositoryNotFound)
}

// Two targets may share a branch and part its files.
func TestTargetsTakeTheirOwnFilesAndImages(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(`
targets:
  - name: staging
    repository: refty-yapi/refty-infra-test
    paths: {include: ["staging/**"]}
    embedded: false
  - name: production
    repository: refty-yapi/refty-infra-test
    paths: {include: ["production/**"], exclude: ["**/vendor/**"]}
    images: ["ghcr.io/refty-yapi/refty-node/*"]
`), withFiles(map[string]string{
		"staging/a.yaml":           deployment(node+":old") + "# \n---\nscript: |\n  docker run " + node + ":old\n",
		"production/a.yaml":        deployment(node + ":old"),
		"production/vendor/a.yaml": deployment(node + ":old"),
		"staging/w.yaml":           deployment(worker + ":old"),
		"production/w.yaml":        deployment(worker + ":old"),
	}))
	wantTargets(t, w.post(setTo(node, "new")), http.StatusCreated,
		"staging refty-yapi/refty-infra-test committed", "production refty-yapi/refty-infra-test committed")
	wantTargets(t, w.post(setTo(worker, "new")), http.StatusCreated, "staging refty-yapi/refty-infra-test committed")
	wantProblem(t, w.post(setTo("ghcr.io/octo-org/app", "new")), http.StatusNotFound, api.ProblemCodeImageNotReferenced)

	for path, want := range map[string]string{
		"production/a.yaml": node + ":new", "production/vendor/a.yaml": node + ":old", "apps/parser.yaml": node + ":10-10-ver",
		"staging/a.yaml": node + ":new", "staging/w.yaml": worker + ":new", "production/w.yaml": worker + ":old",
	} {
		if content := w.file(path); !strings.Contains(content, "image: "+want+"\n") {
			t.Errorf("%s, want %s:\n%s", path, want, content)
		}
	}
	if content := w.file("staging/a.yaml"); !strings.Contains(content, "docker run "+node+":old") {
		t.Errorf("a reference inside of text was changed:\n%s", content)
	}
}

func TestTargetsOfTheDefaultBranch(t *testing.T) {
	t.Parallel()
	w := start(t, withConfig(twoTargets), withRepository(otherRepo, map[string]string{"a.yaml": deployment(node + ":old")}))
	named := w.post(`{"image": "` + node + `", "version": "v1", "branch": "main", "repository": "octo-org/infra"}`)
	wantTargets(t, named, http.StatusCreated, "production octo-org/infra committed")
	wantProblem(t, w.post(`{"image": "`+node+`", "version": "v1", "branch": "stage", "repository": "octo-org/infra"}`),
		http.StatusNotFound, api.ProblemCodeBranchNotFound)
}

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := twoTargets + "webhooks:\n  - {name: hub, kind: dockerhub, secrets: [{env: NOT_SET_HERE}], targets: [production]}\n"
	ruled := twoTargets + "callers: [{name: ours, oidc: {issuer: github, claims: {repository_owner_id: 42}}}]\n" +
		"rules: [{name: own-image, callers: [ours], images: ['ghcr.io/${repository}'], targets: [production]}]\n"
	claims := file(`{"repository": "octo-org/web", "repository_owner_id": "42"}`)
	foreign := file(`{"repository": "octo-org/web", "repository_owner_id": 43}`)
	fork := file(`{"repository": "octo-org/web", "repository_owner_id": 42, "event_name": "pull_request"}`)
	tests := map[string]struct {
		args []string
		code int
		says string
	}{
		"good":          {[]string{file(good)}, 0, "2 targets, 1 webhooks"},
		"unknown key":   {[]string{file(twoTargets + "target: 1\n")}, 1, ":9: target: "},
		"no such kind":  {[]string{file(strings.Replace(good, "kind: dockerhub", "kind: docker", 1))}, 1, "webhooks[0].kind: "},
		"zot without":   {[]string{file(strings.Replace(good, "kind: dockerhub", "kind: zot", 1))}, 1, "webhooks[0].registry: "},
		"no repository": {[]string{file("targets:\n  - repository: octo/in/fra\n")}, 1, "targets[0].repository: "},
		"no such file":  {[]string{filepath.Join(t.TempDir(), "none.yaml")}, 1, "no such file"},
		"allowed": {
			[]string{file(ruled), "--caller", "ours", "--claims", claims, "--image", "ghcr.io/octo-org/web", "--version", "1.0.0"},
			0,
			"main: denied; the closest rule is own-image: the target refty-yapi/refty-infra-test@main is none of production\nproduction: allowed by the rule own-image",
		},
		"denied": {
			[]string{file(ruled), "--caller", "ours", "--claims", claims, "--image", "ghcr.io/octo-org/shop", "--version", "1.0.0"},
			2,
			"the image ghcr.io/octo-org/shop is none of ghcr.io/octo-org/web (from ghcr.io/${repository})",
		},
		"an unknown caller": {[]string{file(ruled), "--caller", "nobody", "--image", "ghcr.io/octo-org/web", "--version", "1.0.0"}, 2, "no rule names the caller nobody"},
		"another owner's job": {
			[]string{file(ruled), "--caller", "ours", "--claims", foreign, "--image", "ghcr.io/octo-org/web", "--version", "1.0.0"},
			2, "production: denied: the token is not the caller's: its claim repository_owner_id is '43'",
		},
		"a fork's job": {
			[]string{file(ruled), "--caller", "ours", "--claims", fork, "--image", "ghcr.io/octo-org/web", "--version", "1.0.0"},
			2, "production: denied: the token is not the caller's: jobs of the event 'pull_request' may run a stranger's code",
		},
		"a version that the target refuses": {
			[]string{file(strings.Replace(ruled, "name: production", "name: production\n    downgrade: refuse", 1)), "--caller", "ours", "--claims", claims, "--image", "ghcr.io/octo-org/web", "--version", "main-1"},
			2, "production: denied: the target refuses it: the version main-1 is no MAJOR.MINOR.PATCH",
		},
		"an image that is not the target's": {
			[]string{file(strings.Replace(ruled, "name: production", "name: production\n    images: [nginx]", 1)), "--caller", "ours", "--claims", claims, "--image", "ghcr.io/octo-org/web", "--version", "1.0.0"},
			2, "production: denied: the target refuses it: the image ghcr.io/octo-org/web is none of its images",
		},
		"half a question":  {[]string{file(ruled), "--caller", "ours"}, 2, "check-config wants"},
		"a finding":        {[]string{file(strings.Replace(ruled, "repository_owner_id: 42", "repository: octo-org/web", 1))}, 0, "warning: "},
		"a wrong finding":  {[]string{file(strings.ReplaceAll(ruled, "${repository}", "octo-org/${actor}"))}, 1, "chooses the claim actor"},
		"no file at all":   {nil, 2, "check-config wants"},
		"more than a file": {[]string{"a", "b"}, 2, "check-config wants"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code := service.Build{}.Main(context.Background(), append([]string{"check-config"}, tt.args...), nil, &out, &out)
			if code != tt.code || !strings.Contains(out.String(), tt.says) {
				t.Errorf("code %d, want %d and %q:\n%s", code, tt.code, tt.says, out.String())
			}
		})
	}
}
