package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
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
