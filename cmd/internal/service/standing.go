package service

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
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
