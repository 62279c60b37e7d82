package service

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/registry"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// Settings are the checked settings of the environment and the configuration file.
type Settings struct {
	// Targets has at least one element, from CONFIG_FILE or the variables.
	Targets []config.Target
	// Webhooks are the sources of CONFIG_FILE and of the variables.
	Webhooks []config.Webhook
	// Notify are told how updates end.
	Notify      []config.Notify
	WebhookBody int64 // 0: the default
	Bodies      int64 // 0: the default
	Queue       config.Queue
	StoreURL    string
	Credential  github.Credential
	APIURL      string
	Secrets     *caller.Secrets // of API_TOKENS; nil: none
	Trust       Trust
	ListenAddr  string
	// MetricsAddr is where metrics and readiness are served apart; "" serves them on
	// ListenAddr.
	MetricsAddr    string
	TrustedProxies []netip.Prefix
	UpdateTimeout  time.Duration
	LogLevel       slog.Level
	LogFormat      string
	GroupCommits   bool
	Author         *github.Signature // nil: the credential's own
	SigningKey     string
	CacheBytes     int64
	// Trial is for an embedded GitHub: limits are not paced, and weak secrets are not
	// warned of. No variable sets it.
	Trial bool
	// AskAtStart makes Run ask GitHub about the credential and the branch at once;
	// otherwise the first probe does.
	AskAtStart bool
	// WatchEvery is how often files of settings are looked at; 0 means every second.
	// No variable sets it.
	WatchEvery time.Duration
	// Now replaces the clock of the store and of pull requests; nil means the real one. No
	// variable sets it.
	Now func() time.Time
	// Warnings are probable mistakes that do not stop the start, which logs them.
	Warnings []Warning

	repository     string
	branch         string
	overrides      string
	configFile     string
	databaseURL    string
	dataDir        string
	secrets        map[webhook.Kind]string
	registries     map[webhook.Kind]string
	images         map[webhook.Kind][]string
	token          string
	appID          int64
	appKey         string
	installationID int64
	noAuth         bool
	audience       string
	insecureAPI    bool
	registryAuth   []byte // a Docker config.json
	registryHosts  []config.Registry
	reread         func(name string) func() (string, error)
	tracing        tracing
	env            Environment
	files          files
}

// Warning is a probable mistake in a variable, in one line without a secret.
type Warning struct {
	Variable, Detail string
	weak             bool // about a weak secret
}

// Environment holds variables by their names.
type Environment map[string]string

// ParseEnvironment reads what os.Environ returns.
func ParseEnvironment(environ []string) Environment {
	e := make(Environment, len(environ))
	for _, setting := range environ {
		name, value, _ := strings.Cut(setting, "=")
		e[name] = value
	}
	return e
}

// variable is one variable of the environment.
type variable struct {
	name     string
	fallback string // applied when the variable is empty; shown by --help
	help     string
	secret   bool // may be in a file that NAME_FILE names
	set      func(*Settings, string) error
}

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

// variables are all that the program reads.
func variables() []variable {
	return slices.Concat(githubVariables(), serviceVariables(), webhookVariables(), tracingVariables())
}

// webhookVariables enable a webhook source with the name of its kind, and bound what
// it may move.
func webhookVariables() []variable {
	var out []variable
	for _, kind := range webhook.SwitchedOnBySecret() {
		out = append(out,
			variable{
				name: webhookVariable(kind, "SECRET"), secret: true, help: "secret of the webhook source " + string(kind) + ", which it enables",
				set: func(s *Settings, v string) error {
					put(&s.secrets, kind, v)
					return nil
				},
			},
			variable{
				name: webhookVariable(kind, "REGISTRY"), help: "host[:port] of the registry whose pushes that source takes",
				set: func(s *Settings, v string) error {
					host, err := config.ParseRegistry(v)
					put(&s.registries, kind, host)
					return err
				},
			},
			variable{
				name: webhookVariable(kind, "IMAGES"), help: "globs of the images that it may move, separated by commas; every image when empty",
				set: func(s *Settings, v string) error {
					globs, err := imageGlobs(v)
					put(&s.images, kind, globs)
					return err
				},
			},
		)
	}
	return out
}

// imageGlobs reads globs that are separated by commas outside of braces.
func imageGlobs(text string) ([]string, error) {
	var globs []string
	for _, part := range splitGlobs(text) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		glob, err := config.ParseImageGlob(part)
		if err != nil {
			return nil, err
		}
		globs = append(globs, glob)
	}
	if globs == nil {
		return nil, errors.New("it names no image")
	}
	return globs, nil
}

func splitGlobs(text string) []string {
	depth := 0
	return strings.FieldsFunc(text, func(r rune) bool {
		switch r {
		case '{':
			depth++
		case '}':
			depth--
		}
		return r == ',' && depth <= 0
	})
}

func put[V any](into *map[webhook.Kind]V, kind webhook.Kind, value V) {
	if *into == nil {
		*into = map[webhook.Kind]V{}
	}
	(*into)[kind] = value
}

// WebhookSecrets returns the variables that enable a webhook by its secret alone.
func WebhookSecrets() []string {
	var names []string
	for _, kind := range webhook.SwitchedOnBySecret() {
		names = append(names, webhookVariable(kind, "SECRET"))
	}
	return names
}

func webhookVariable(kind webhook.Kind, what string) string {
	return "WEBHOOK_" + strings.ToUpper(string(kind)) + "_" + what
}

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
		{name: "CACHE_BYTES", fallback: defaultCache, help: "memory for all that is remembered of repositories; 0 for none; by default a quarter of the container's limit, if there is one", set: func(s *Settings, v string) error {
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

// Variables returns the names of all variables that the program reads, including
// those that name a secret's file.
func Variables() []string {
	var names []string
	for _, v := range variables() {
		names = append(names, v.name)
		if v.secret {
			names = append(names, v.name+"_FILE")
		}
	}
	return names
}

// ReadEnvironment reads and checks every variable. The error is one line that
// begins with a variable's name and holds no secret.
func ReadEnvironment(env Environment) (Settings, error) { return readEnvironment(env, nil) }

// readEnvironment is ReadEnvironment, whose callers take over the issuers of before.
func readEnvironment(env Environment, before *caller.Callers) (Settings, error) {
	s := Settings{reread: rereader(env), env: env, files: files{}}
	for _, v := range variables() {
		text, err := v.read(env, s.files.read)
		if err != nil {
			return s, err
		}
		if text == "" {
			continue
		}
		if err := v.set(&s, text); err != nil {
			return s, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	if err := s.check(); err != nil {
		return s, err
	}
	named, err := s.configure(env, before)
	if err != nil {
		return s, err
	}
	s.Credential = s.credential()
	if s.installationID != 0 && s.installation() == 0 {
		s.warn("GITHUB_APP_INSTALLATION_ID", "is not used: the targets have several owners, and the installation of each is looked up")
	}
	if err := s.checkSecrets(); err != nil {
		return s, err
	}
	return s, s.checkNames(env, named)
}

// read returns the variable's text, or the content of the file that NAME_FILE names. As
// in systemd, a file may be absent if a hyphen precedes its path.
func (v variable) read(env Environment, readFile func(string) ([]byte, error)) (string, error) {
	text := strings.TrimSpace(env[v.name])
	if v.secret {
		fileVariable := v.name + "_FILE"
		path := strings.TrimSpace(env[fileVariable])
		switch {
		case path == "":
		case text != "":
			return "", fmt.Errorf("%s: unset it or %s; only one of them may hold the secret", v.name, fileVariable)
		default:
			path, optional := strings.CutPrefix(path, "-")
			content, err := readFile(path)
			if optional && errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return "", fmt.Errorf("%s: %w", fileVariable, err)
			}
			if text = strings.TrimSpace(string(content)); text == "" {
				return "", fmt.Errorf("%s: %s is empty", fileVariable, path)
			}
		}
		if strings.Contains(text, placeholder) {
			return "", fmt.Errorf("%s: it still holds %s, the placeholder of the examples", v.name, placeholder)
		}
	}
	if text == "" {
		text = v.fallback
	}
	return text, nil
}

// check refuses combinations of variables.
func (s *Settings) check() error {
	switch {
	case s.repository == "" && s.configFile == "":
		return errors.New("GITHUB_REPOSITORY: set it to the repository to write to, as owner/name, or CONFIG_FILE")
	case s.repository == "" && s.branch != "":
		return errors.New("GITHUB_BRANCH: unset it; the targets of CONFIG_FILE have branches of their own")
	case s.repository == "" && s.overrides != string(update.ReportOverrides):
		return errors.New("OVERRIDES: unset it; the targets of CONFIG_FILE have overrides of their own")
	case s.token != "" && s.appID != 0:
		return errors.New("GITHUB_TOKEN: unset it or GITHUB_APP_ID; only one credential is used")
	case s.token == "" && s.appID == 0:
		return errors.New("GITHUB_TOKEN: set it, or GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY")
	case s.appID != 0 && s.appKey == "":
		return errors.New("GITHUB_APP_PRIVATE_KEY: set it to the private key of the App that GITHUB_APP_ID names")
	case s.appID == 0 && s.appKey != "":
		return errors.New("GITHUB_APP_ID: set it to the App that GITHUB_APP_PRIVATE_KEY belongs to")
	case s.Secrets == nil && !s.noAuth && s.configFile == "":
		return errors.New("API_TOKENS: set it to name=secret pairs, or AUTH=none to accept requests without a token")
	case s.Secrets != nil && s.noAuth:
		return errors.New("AUTH: none contradicts API_TOKENS; unset one of them")
	}
	if err := s.checkAPIURL(); err != nil {
		return fmt.Errorf("GITHUB_API_URL: %w", err)
	}
	s.findStore()
	return nil
}

// findStore makes the store's URL, which is a file in the data folder unless another is named.
func (s *Settings) findStore() {
	s.StoreURL = s.databaseURL
	if s.StoreURL == "" {
		s.StoreURL = "sqlite:" + filepath.Join(s.dataDir, "versions-service.db")
	}
}

// writeVariables prints the table of variables.
func writeVariables(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range variables() {
		fallback := v.fallback
		if fallback == "" {
			fallback = "-"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", v.name, fallback, v.help)
	}
	_ = table.Flush()
}
