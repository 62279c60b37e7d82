package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// defaultAudience is the audience of tokens unless OIDC_AUDIENCE says otherwise.
const defaultAudience = "https://versions.example.com"

// jobs is an embedded issuer of OpenID Connect tokens, listening, with one job.
type jobs struct {
	*web
	requestURL string // ACTIONS_ID_TOKEN_REQUEST_URL
	envFile    string // what a job finds in its environment, for a shell
	configFile string // the caller and the rule of --oidc
}

// ownerID is the number of the job's repository owner.
const ownerID = "42"

// startJobs serves an issuer whose job runs in the repository of the image, and writes
// into dir how a shell gets the job's token, and the configuration file that trusts it.
func startJobs(dir, imageName string) (*jobs, error) {
	registry, repository := ownerOf(imageName)
	var issuer *sandbox.Issuer
	served, err := listenAndServe("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { issuer.ServeHTTP(w, r) }))
	if err != nil {
		return nil, err
	}
	owner, _, _ := strings.Cut(repository, "/")
	issuer, err = sandbox.NewIssuer(served.url, map[string]any{
		"sub": "repo:" + repository + ":ref:refs/heads/main", "ref": "refs/heads/main", "event_name": "push",
		"repository": repository, "repository_id": "7", "repository_owner": owner, "repository_owner_id": ownerID,
		"sha": "0123456789abcdef0123456789abcdef01234567", "run_id": "1", "run_attempt": "1", "workflow": "release", "actor": "octocat",
	}, nil)
	if err != nil {
		return nil, errors.Join(err, served.stop())
	}
	j := &jobs{
		web: served, requestURL: served.url + "/token?api-version=2.0",
		envFile: filepath.Join(dir, "job.env"), configFile: filepath.Join(dir, "oidc.yaml"),
	}
	environment := fmt.Sprintf("export ACTIONS_ID_TOKEN_REQUEST_URL='%s'\nexport ACTIONS_ID_TOKEN_REQUEST_TOKEN='%s'\n", j.requestURL, sandbox.IssuerRequestToken)
	configuration := fmt.Sprintf(oidcConfig, served.url, ownerID, registry)
	for path, content := range map[string]string{j.envFile: environment, j.configFile: configuration} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return nil, errors.Join(err, served.stop())
		}
	}
	return j, nil
}

// oidcConfig trusts the issuer's jobs of one owner with the images below the names of
// their repositories.
const oidcConfig = `callers:
  - name: jobs
    oidc: {issuer: %q, claims: {repository_owner_id: %s}}
rules:
  - name: own-image
    callers: [jobs]
    images: ["%[3]s/${repository}", "%[3]s/${repository}/**"]
`

// ownerOf returns an image's registry, and the repository owner/name whose image it is.
func ownerOf(name string) (registry, repository string) {
	r, err := image.ParseRepository(name)
	if err != nil {
		return "ghcr.io", "refty-yapi/refty-node"
	}
	parts := strings.Split(r.Path(), "/")
	if len(parts) == 1 {
		parts = append(parts, parts[0])
	}
	return r.Domain(), parts[0] + "/" + parts[1]
}

// trust adds the issuer's configuration to the environment of the service.
func (j *jobs) trust(env service.Environment) {
	env["CONFIG_FILE"] = j.configFile
	env["OIDC_AUDIENCE"] = audienceOf(env)
	delete(env, "AUTH")
}

// audienceOf is the audience that the service takes.
func audienceOf(env service.Environment) string { return cmp.Or(env["OIDC_AUDIENCE"], defaultAudience) }

// writeJob prints how to get the job's token, if there is a job.
func (h *hub) writeJob(w io.Writer, env service.Environment) {
	if h.jobs != nil {
		fmt.Fprintf(w, jobText, h.jobs.envFile, audienceOf(env))
	}
}

const jobText = `
  A job's token, as GitHub Actions gives it:
  . %[1]s
  token=$(curl -sS -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
    "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=%[2]s" | jq -r .value)
  More such as &repository=octo-org/web behind it gives the job other claims.
`
