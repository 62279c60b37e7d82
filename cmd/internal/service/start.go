package service

import "slices"

// logStart logs what the service begins with.
func (s *Service) logStart(settings Settings) {
	s.logger.Info("listening", "addr", s.Addr().String(), "targets", settings.targetNames(), "webhooks", settings.webhookNames(),
		"github", settings.APIURL)
	s.logTargets(settings)
	s.logWarnings(settings, nil)
	if len(s.listeners) > 1 {
		s.logger.Info("metrics and readiness are apart", "addr", s.MetricsAddr().String())
	}
	if settings.noAuth && !s.onLoopback() {
		s.logger.Warn("AUTH=none: everybody who reaches this address may move every image; configure callers, or listen on 127.0.0.1",
			"addr", s.Addr().String())
	}
	if settings.Trial {
		return
	}
	warnUnbounded(s.logger, settings.Webhooks, s.running.Load().webhooks)
	if trust := settings.Trust; trust.Callers != nil && trust.Policy == nil {
		s.logger.Warn("there are no rules: every caller may move every image to any version; rules in CONFIG_FILE bound them")
	}
}

// logTargets logs each target, and what names its branch.
func (s *Service) logTargets(settings Settings) {
	for _, t := range settings.Targets {
		attrs := []any{"target", t.Name, "repository", t.Repository}
		by := "CONFIG_FILE"
		if settings.repository != "" {
			by = "GITHUB_REPOSITORY"
		}
		attrs = append(attrs, "repository_by", by)
		switch {
		case t.Branch == "":
			attrs = append(attrs, "branch_by", "the repository's default branch")
		case settings.repository != "":
			attrs = append(attrs, "branch", t.Branch, "branch_by", "GITHUB_BRANCH")
		default:
			attrs = append(attrs, "branch", t.Branch, "branch_by", by)
		}
		s.logger.Info("target", attrs...)
	}
}

// logWarnings logs the warnings of the settings that were not known before.
func (s *Service) logWarnings(settings Settings, known []Warning) {
	for _, w := range settings.Warnings {
		if (!w.weak || !settings.Trial) && !slices.Contains(known, w) {
			s.logger.Warn("look at the environment", "variable", w.Variable, "detail", w.Detail)
		}
	}
}

// webhookNames returns the names of the webhook sources, for the log.
func (s *Settings) webhookNames() []string {
	names := []string{}
	for _, w := range s.Webhooks {
		names = append(names, w.Name)
	}
	return names
}

// targetNames returns the names of the targets, for the log.
func (s *Settings) targetNames() []string {
	var names []string
	for _, t := range s.Targets {
		names = append(names, t.Name)
	}
	return names
}
