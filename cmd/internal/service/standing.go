package service

import (
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// standing logs every change in whether GitHub accepts the credential and the
// branches, and keeps the metrics of it.
type standing struct {
	logger     *slog.Logger
	credential *prometheus.GaugeVec
	branch     *prometheus.GaugeVec
}

func newStanding(registry *prometheus.Registry, logger *slog.Logger) *standing {
	s := &standing{
		logger: logger,
		credential: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "versions_service_github_credential_ok",
			Help: "1 if GitHub last accepted the credential for the repository, 0 if it refused; absent before the first answer.",
		}, []string{"repository"}),
		branch: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "versions_service_github_branch_ok",
			Help: "1 if the branch last existed and took commits, 0 if not; absent before the first answer. The default branch has an empty name.",
		}, []string{"repository", "branch"}),
	}
	registry.MustRegister(s.credential, s.branch)
	return s
}

func (s *standing) credentialChanged(repo github.Repo, state github.State) {
	gauge := s.credential.WithLabelValues(repo.String())
	if state.Err != nil {
		gauge.Set(0)
		s.logger.Warn("GitHub refuses the credential", "repository", repo.String(), "error", *detailOf(state.Err))
		return
	}
	gauge.Set(1)
	s.logger.Info("GitHub accepts the credential", "repository", repo.String())
}

func (s *standing) branchChanged(repo github.Repo, branch string, state github.State) {
	gauge := s.branch.WithLabelValues(repo.String(), branch)
	attrs := []any{"repository", repo.String()}
	if branch != "" {
		attrs = append(attrs, "branch", branch)
	}
	if state.Err != nil {
		gauge.Set(0)
		s.logger.Warn("the branch does not take commits", append(attrs, "error", *detailOf(state.Err))...)
		return
	}
	gauge.Set(1)
	s.logger.Info("the branch is there", attrs...)
}

// keep ends the metrics of branches that are no targets any more, and shows what is
// known of new ones.
func (s *standing) keep(client *github.Client, before, targets []update.Target) {
	for _, t := range before {
		repository := t.Repo.String()
		if !slices.ContainsFunc(targets, func(other update.Target) bool { return other.Repo == t.Repo }) {
			s.credential.DeleteLabelValues(repository)
		}
		if !slices.ContainsFunc(targets, func(other update.Target) bool { return other.Repo == t.Repo && other.Branch == t.Branch }) {
			s.branch.DeleteLabelValues(repository, t.Branch)
		}
	}
	for _, t := range targets {
		show(s.credential.MustCurryWith(prometheus.Labels{"repository": t.Repo.String()}), client.CredentialState(t.Repo))
		show(s.branch.MustCurryWith(prometheus.Labels{"repository": t.Repo.String(), "branch": t.Branch}), client.Branch(t.Repo, t.Branch).State())
	}
}

func show(gauge *prometheus.GaugeVec, state github.State) {
	switch {
	case !state.Known:
	case state.Err != nil:
		gauge.WithLabelValues().Set(0)
	default:
		gauge.WithLabelValues().Set(1)
	}
}
