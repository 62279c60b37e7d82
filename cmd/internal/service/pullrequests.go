package service

import (
	"context"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// setPullRequests sets where the commits of a target go, and what its pull requests are
// like.
func setPullRequests(target *update.Target, t config.Target, client *github.Client) {
	branch, p := client.Branch(target.Repo, target.Branch), t.PullRequest
	target.Mode, target.Propose = update.Mode(t.Mode), branch.Proposal
	target.Pulls = update.PullSettings{
		Group: update.PullGroup(p.Group), Prefix: p.Prefix, Draft: p.Draft, Merge: p.WhenReady, Method: p.Method, MergeTimeout: p.Timeout,
		People: github.PullPeople{Labels: p.Labels, Reviewers: p.Reviewers, TeamReviewers: p.Teams, Assignees: p.Assignees},
	}
	if !p.Title.IsZero() {
		target.Pulls.Title = p.Title.Fill
	}
	if !p.Body.IsZero() {
		target.Pulls.Body = p.Body.Fill
	}
}

// follow looks at the pull requests of the configuration in force, until ctx ends.
func (s *Service) follow(ctx context.Context) {
	worker.NewProposals(s.queue).Follow(ctx, func() worker.Follower { return s.running.Load().updates }, s.logger)
}
