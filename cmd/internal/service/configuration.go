package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// configure reads the configuration file, if there is one, and adds the settings of
// the variables. named are the variables that the file names. The error begins with
// a variable's name.
func (s *Settings) configure(env Environment, before *caller.Callers) (named []string, err error) {
	file := &config.File{}
	if s.configFile != "" {
		getenv := func(name string) string {
			named = append(named, name)
			return env[name]
		}
		if file, err = readConfig(s.configFile, s.files.read, config.Options{
			Getenv: getenv, ReadFile: s.files.read, Targets: s.ownTargets(), Callers: s.Secrets.Names(),
		}); err != nil {
			return nil, fmt.Errorf("CONFIG_FILE: %w", oneOfMany(err))
		}
	}
	s.Targets, s.Webhooks, s.Queue = file.Targets, file.Webhooks, file.Queue
	s.WebhookBody, s.Bodies = file.Limits.WebhookBody, file.Limits.Bodies
	s.registryHosts, s.Notify = file.Registries, file.Notify
	switch {
	case s.repository != "" && len(file.Targets) > 0:
		return nil, errors.New("GITHUB_REPOSITORY: unset it; the targets are those of CONFIG_FILE")
	case s.repository != "":
		s.Targets = []config.Target{{Name: s.ownTargets()[0], Repository: s.repository, Branch: s.branch, Overrides: s.overrides, Embedded: true}}
	case len(file.Targets) == 0:
		return nil, errors.New("CONFIG_FILE: has no targets; add some, or set GITHUB_REPOSITORY")
	}
	if err := s.addWebhooks(); err != nil {
		return named, err
	}
	return named, s.addTrust(file, before)
}

// ownTargets returns the name of the target of GITHUB_REPOSITORY, as the file would
// name it.
func (s *Settings) ownTargets() []string {
	switch {
	case s.repository == "":
		return nil
	case s.branch == "":
		return []string{s.repository}
	default:
		return []string{s.repository + "@" + s.branch}
	}
}

// addWebhooks adds the sources that variables enable.
func (s *Settings) addWebhooks() error {
	for _, kind := range webhook.SwitchedOnBySecret() {
		secret := s.secrets[kind]
		name := webhookVariable(kind, "SECRET")
		if secret == "" {
			if err := s.boundsWithoutSource(kind); err != nil {
				return err
			}
			continue
		}
		if s.repository == "" {
			return fmt.Errorf("%s: unset it; it is for the single target of GITHUB_REPOSITORY, name the source in CONFIG_FILE", name)
		}
		for _, w := range s.Webhooks {
			if w.Name == string(kind) {
				return fmt.Errorf("%s: unset it; CONFIG_FILE has a source %s", name, kind)
			}
		}
		added := config.Webhook{
			Name: string(kind), Kind: string(kind), Secrets: []config.Secret{config.NewSecret(secret)},
			Registry: s.registries[kind], Images: s.images[kind],
		}
		if err := checkWebhook(added); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.Webhooks = append(s.Webhooks, added)
	}
	return nil
}

// boundsWithoutSource refuses variables that bound a source which no secret enables.
func (s *Settings) boundsWithoutSource(kind webhook.Kind) error {
	var what string
	switch {
	case s.registries[kind] != "":
		what = "REGISTRY"
	case s.images[kind] != nil:
		what = "IMAGES"
	default:
		return nil
	}
	return fmt.Errorf("%s: unset it, or set %s; a source of CONFIG_FILE has keys of its own for that",
		webhookVariable(kind, what), webhookVariable(kind, "SECRET"))
}

func readConfig(path string, read func(string) ([]byte, error), o config.Options) (*config.File, error) {
	content, err := read(path)
	if err != nil {
		return nil, err
	}
	o.CheckTarget, o.CheckWebhook, o.CheckCaller, o.CheckRule, o.CheckNotify = checkTarget, checkWebhook, checkCaller, checkRule, checkNotify
	return config.Parse(path, content, o)
}

// oneOfMany returns the first error of a file, with the number of the others.
func oneOfMany(err error) error {
	var many config.Errors
	if !errors.As(err, &many) || len(many) == 1 {
		return err
	}
	return fmt.Errorf("%w (and %d more: versions-service check-config lists them)", many[0], len(many)-1)
}

func checkTarget(t config.Target) error {
	if _, err := github.ParseRepo(t.Repository); err != nil {
		return &config.Error{Key: "repository", Detail: err.Error(), Err: err}
	}
	_, err := newGate(t)
	return err
}

// checkWebhook checks a source as if each secret that is not looked up were set.
func checkWebhook(w config.Webhook) error {
	w.Secrets = slices.Clone(w.Secrets)
	for i, secret := range w.Secrets {
		if secret.Reveal() == "" {
			w.Secrets[i] = config.NewSecret("not looked up")
		}
	}
	_, err := newSource(w, newTransport())
	var option *webhook.OptionError
	if errors.As(err, &option) {
		return &config.Error{Key: option.Option, Detail: option.Detail, Err: err}
	}
	return err
}

// newSource builds a webhook source, which fetches keys through transport.
func newSource(w config.Webhook, transport http.RoundTripper) (*webhook.Source, error) {
	o := webhook.Options{
		Name: w.Name, Kind: webhook.Kind(w.Kind), Registry: w.Registry, Images: w.Images,
		Audience: w.Audience, ServiceAccount: w.ServiceAccount, Transport: transport,
	}
	for _, secret := range w.Secrets {
		o.Secrets = append(o.Secrets, secret.Reveal())
	}
	for _, r := range w.Rewrite {
		o.Rewrite = append(o.Rewrite, webhook.Rewrite(r))
	}
	if g := w.Generic; g != nil {
		o.Generic = &webhook.Generic{Image: g.Image, Version: g.Version, Digest: g.Digest, Time: g.Time, ID: g.ID}
		o.Generic.Signature = (*webhook.Signature)(g.Signature)
	}
	var err error
	switch {
	case w.Tags.Regexp != "":
		o.Tags, err = webhook.ParseTagRegexp(w.Tags.Regexp)
	case w.Tags.Semver != "":
		o.Tags, err = webhook.ParseTagRange(w.Tags.Semver)
	}
	if err != nil {
		return nil, err
	}
	return webhook.New(o)
}

// newWebhooks builds every source. Those that are as before are taken over, with the keys
// that they know. before may be nil.
func newWebhooks(sources []config.Webhook, transport http.RoundTripper, before *configuration) (map[string]api.Webhook, error) {
	webhooks := map[string]api.Webhook{}
	for _, w := range sources {
		if old, ok := before.webhook(w); ok {
			webhooks[w.Name] = old
			continue
		}
		source, err := newSource(w, transport)
		if err != nil {
			return nil, err
		}
		webhooks[w.Name] = api.Webhook{Source: source, Targets: w.Targets, Present: w.Present}
	}
	return webhooks, nil
}

// webhook returns the source of the same settings.
func (c *configuration) webhook(w config.Webhook) (same api.Webhook, ok bool) {
	if c == nil {
		return api.Webhook{}, false
	}
	at := slices.IndexFunc(c.settings.Webhooks, func(old config.Webhook) bool { return old.Name == w.Name })
	if at < 0 || !reflect.DeepEqual(c.settings.Webhooks[at], w) {
		return api.Webhook{}, false
	}
	return c.webhooks[w.Name], true
}

// warnUnbounded warns of sources whose senders may move any image.
func warnUnbounded(logger *slog.Logger, sources []config.Webhook, webhooks map[string]api.Webhook) {
	for _, w := range sources {
		if !webhooks[w.Name].Source.Bounded() {
			logger.Warn("a webhook source may move any image of any registry; set registry or images on it",
				"source", w.Name, "kind", w.Kind)
		}
	}
}

// newTargets converts the targets for package update.
func newTargets(targets []config.Target, client *github.Client, ask update.Registry) ([]update.Target, error) {
	var out []update.Target
	for _, t := range targets {
		repo, err := github.ParseRepo(t.Repository)
		if err != nil {
			return nil, err
		}
		gate, err := newGate(t)
		if err != nil {
			return nil, err
		}
		gate.Registry = registryCheck(t.Registry, ask)
		target := update.Target{
			Gate: gate,
			Repo: repo, Branch: t.Branch, Repository: client.Branch(repo, t.Branch),
			Include: t.Include, Exclude: t.Exclude, Images: t.Images, Present: t.Present, Overrides: update.OverrideMode(t.Overrides), SkipEmbedded: !t.Embedded,
			Unpin: t.Unpin, PinDigests: t.PinDigests, RefuseMessages: t.RefuseMessages,
		}
		for _, kind := range t.Files {
			target.Files = append(target.Files, update.FileKind(kind))
		}
		for _, p := range t.Proxies {
			target.Proxies = append(target.Proxies, manifest.Proxy(p))
		}
		if t.Name != (update.Place{Repo: repo, Branch: t.Branch}).String() {
			target.Name = t.Name
		}
		if !t.Message.IsZero() {
			target.Message = t.Message.Fill
		}
		setPullRequests(&target, t, client)
		if t.Author != nil {
			target.Author = &github.Signature{Name: t.Author.Name, Email: t.Author.Email}
		}
		out = append(out, target)
	}
	return out, nil
}
