package service

import (
	"fmt"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/registry"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// The formats of the log.
const (
	formatAuto = "auto"
	formatTint = "tint"
	formatJSON = "json"
)

// defaultListenAddr is every address of the machine, as a container needs it.
const defaultListenAddr = ":8080"

// defaultCache is the memory for what is remembered where no limit of the container says
// how much there is.
const defaultCache = "128MiB"

// githubVariables say where to write, and with which credential.
func githubVariables() []variable {
	return []variable{
		{name: "GITHUB_REPOSITORY", help: "owner/name of the repository to write to; needed, unless CONFIG_FILE has targets", set: func(s *Settings, v string) error {
			s.repository = v
			_, err := github.ParseRepo(v)
			return err
		}},
		{name: "GITHUB_BRANCH", help: "the branch to write to; the repository's default branch when empty", set: func(s *Settings, v string) error {
			s.branch = v
			return branchName(v)
		}},
		{name: "CONFIG_FILE", help: "YAML file with several targets and with webhooks; check-config checks it", set: func(s *Settings, v string) error {
			s.configFile = v
			return nil
		}},
		{name: "GITHUB_TOKEN", secret: true, help: "personal access token; a fine-grained one needs Contents: read and write", set: func(s *Settings, v string) error {
			s.token = v
			return nil
		}},
		{name: "GITHUB_APP_ID", help: "id of a GitHub App, in place of a token", set: func(s *Settings, v string) error {
			return positive(v, &s.appID)
		}},
		{name: "GITHUB_APP_PRIVATE_KEY", secret: true, help: "the App's private key in PEM", set: func(s *Settings, v string) error {
			s.appKey = v
			return checkClient(github.Options{Credential: github.App{ID: 1, PrivateKey: []byte(v)}})
		}},
		{name: "GITHUB_APP_INSTALLATION_ID", help: "the App's installation; looked up for each owner when empty, or when the targets have several", set: func(s *Settings, v string) error {
			return positive(v, &s.installationID)
		}},
		{name: "GITHUB_API_URL", fallback: github.DefaultBaseURL, help: "root of GitHub's REST API; https://HOST/api/v3/ for an Enterprise Server", set: func(s *Settings, v string) error {
			s.APIURL = v
			return checkClient(github.Options{Credential: github.Token("unused"), BaseURL: v})
		}},
		{name: "GITHUB_API_INSECURE", fallback: "false", help: "true lets GITHUB_API_URL be http:// on another machine, which sends the credential in clear text", set: func(s *Settings, v string) error {
			s.insecureAPI = v == "true"
			return oneOf(v, "true", "false")
		}},
	}
}

// serviceVariables say how to serve.
func serviceVariables() []variable {
	return []variable{
		{name: "API_TOKENS", secret: true, help: "callers as name=secret, separated by commas; a name may have several secrets", set: func(s *Settings, v string) (err error) {
			s.Secrets, err = caller.ParseSecrets(v)
			return err
		}},
		{name: "OIDC_AUDIENCE", help: "audience of the tokens of callers by oidc in CONFIG_FILE; the service's own URL, such as https://versions.example.com", set: func(s *Settings, v string) error {
			s.audience = v
			return nil
		}},
		{name: "AUTH", help: "none accepts requests without a token; needed when there are no callers", set: func(s *Settings, v string) error {
			s.noAuth = v == "none"
			if !s.noAuth {
				return fmt.Errorf("%q is not known; the only value is none, which accepts requests without a token", v)
			}
			return nil
		}},
		{name: "DATA_DIR", fallback: "./data", help: "folder of the queue's database", set: func(s *Settings, v string) error {
			s.dataDir = v
			return nil
		}},
		{name: "DATABASE_URL", secret: true, help: "the queue's database: sqlite:PATH, or postgres://… for several replicas; a file in DATA_DIR when empty", set: func(s *Settings, v string) error {
			s.databaseURL = v
			return storeURL(v)
		}},
		{name: "LISTEN_ADDR", fallback: defaultListenAddr, help: "address to listen on", set: func(s *Settings, v string) error {
			s.ListenAddr = v
			return listenAddress(v)
		}},
		{name: "METRICS_ADDR", help: "address for /metrics and /readyz alone, such as :9090; LISTEN_ADDR serves them when empty", set: func(s *Settings, v string) error {
			s.MetricsAddr = v
			return listenAddress(v)
		}},
		{name: "TRUSTED_PROXIES", help: "addresses and networks, separated by commas, whose X-Forwarded-For names the caller's address", set: func(s *Settings, v string) (err error) {
			s.TrustedProxies, err = networks(v)
			return err
		}},
		{name: "UPDATE_TIMEOUT", fallback: "60s", help: "time limit of one update", set: func(s *Settings, v string) error {
			return duration(v, &s.UpdateTimeout)
		}},
		{name: "GROUP_COMMITS", fallback: "true", help: "let updates that wait for the same branch share a commit", set: func(s *Settings, v string) (err error) {
			s.GroupCommits = v == "true"
			return oneOf(v, "true", "false")
		}},
		{name: "OVERRIDES", fallback: string(update.ReportOverrides), help: "versions in another file than the image's name: report, edit or ignore them; for the single target", set: func(s *Settings, v string) error {
			s.overrides = v
			return oneOf(v, string(update.ReportOverrides), string(update.EditOverrides), string(update.IgnoreOverrides))
		}},
		{name: "COMMIT_AUTHOR", help: "author of the commits as Name <mail>; the credential's own identity when empty", set: func(s *Settings, v string) (err error) {
			s.Author, err = signature(v)
			return err
		}},
		{name: "COMMIT_SIGNING_KEY", secret: true, help: "armoured OpenPGP private key that signs the commits", set: func(s *Settings, v string) error {
			s.SigningKey = v
			return checkClient(github.Options{Credential: github.Token("unused"), SigningKey: v})
		}},
		{name: "REGISTRY_AUTH_FILE", help: "Docker config.json with the credentials for registries that are asked for versions", set: func(s *Settings, v string) (err error) {
			if s.registryAuth, err = s.files.read(v); err != nil {
				return err
			}
			if err := registry.CheckAuth(s.registryAuth); err != nil {
				return fmt.Errorf("%s %w", v, err)
			}
			return nil
		}},
		{name: "CACHE_BYTES", fallback: defaultCache, help: "memory for all that is remembered of repositories; 0 for none; by default a fifth of the container's limit, if there is one", set: func(s *Settings, v string) error {
			return size(v, &s.CacheBytes)
		}},
		{name: "LOG_LEVEL", fallback: "info", help: "debug, info, warn or error; debug shows every request to GitHub", set: func(s *Settings, v string) error {
			if err := oneOf(strings.ToLower(v), "debug", "info", "warn", "error"); err != nil {
				return err
			}
			return s.LogLevel.UnmarshalText([]byte(v))
		}},
		{name: "LOG_FORMAT", fallback: formatAuto, help: "json, tint, or auto: tint on a terminal and json elsewhere", set: func(s *Settings, v string) error {
			s.LogFormat = v
			return oneOf(v, formatAuto, formatTint, formatJSON)
		}},
	}
}
