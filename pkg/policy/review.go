package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Known describes a caller for a review.
type Known struct {
	Name string
	// Federated is set for a caller by tokens of an issuer, which have claims.
	Federated bool
	// ByNumber is set when its claims pin a repository, owner or project by number: a
	// name can be given up, and taken over by somebody else.
	ByNumber bool
	// Claims are the texts, or globs, that its claims must match.
	Claims map[string][]string
}

// Finding is a probable mistake in a rule or about a caller.
type Finding struct {
	// Rule is the name of the rule, or Caller that of the caller.
	Rule, Caller string
	// Wrong is set for a sure mistake.
	Wrong  bool
	Detail string
}

// chosen are claims whose text the author of the job may choose: anyone who can push
// can name a branch or an environment.
var chosen = []string{
	"actor", "base_ref", "environment", "event_name", "head_ref", "ref", "ref_path", "ref_type", "run_id", "run_number", "sha",
	"user_email", "user_login", "workflow", "workflow_ref", "job_workflow_ref", "pipeline_source",
}

// Review returns the mistakes in the rules, in their order, and then those about
// callers.
func Review(rules []Rule, callers []Known) []Finding {
	var findings []Finding
	by := make(map[string]Known, len(callers))
	for _, c := range callers {
		by[c.Name] = c
	}
	for i := range rules {
		r := &rules[i]
		add := func(wrong bool, format string, args ...any) {
			findings = append(findings, Finding{Rule: r.Name, Wrong: wrong, Detail: fmt.Sprintf(format, args...)})
		}
		r.reviewImages(by, add)
		r.reviewCallers(by, add)
		r.reviewOverlaps(rules, add)
		for j := range rules {
			if i != j && rules[j].holds(r) && (j < i || !r.holds(&rules[j])) {
				add(false, "adds nothing: the rule %s allows all that it does", rules[j].Name)
				break
			}
		}
	}
	for _, c := range callers {
		for _, detail := range c.review() {
			findings = append(findings, Finding{Caller: c.Name, Detail: detail})
		}
		if !slices.ContainsFunc(rules, func(r Rule) bool { return slices.Contains(r.Callers, c.Name) }) {
			findings = append(findings, Finding{Caller: c.Name, Detail: "stands in no rule, so it may do nothing"})
		}
	}
	return findings
}

// persons are claims that name who started a job.
var persons = []string{"actor", "actor_id", "user_login", "user_email", "user_id"}

// foreign are events whose jobs may run the code of a pull request.
var foreign = []string{"pull_request", "pull_request_target", "issue_comment", "workflow_run", "merge_request_event", "external_pull_request_event"}

// review returns what is probably mistaken in the claims of a caller.
func (c *Known) review() (details []string) {
	for _, claim := range persons {
		if len(c.Claims[claim]) > 0 {
			details = append(details, fmt.Sprintf("its claim %s names who starts a job, not whose code the job runs; a ref or an environment bounds that", claim))
		}
	}
	for _, claim := range []string{"event_name", "pipeline_source"} {
		for _, text := range c.Claims[claim] {
			if strings.Contains(text, "*") || slices.Contains(foreign, text) {
				details = append(details, fmt.Sprintf("its claim %s takes %s, so that a job for the pull request of a stranger may have its rights", claim, text))
			}
		}
	}
	return details
}

// reviewOverlaps finds patterns that add nothing to the others, and rules that lift the
// bounds of this one: any of a caller's rules allows a move.
func (r *Rule) reviewOverlaps(rules []Rule, add func(wrong bool, format string, args ...any)) {
	for i, p := range r.Images {
		for j, other := range r.Images {
			switch {
			case i == j || !other.covers(p) || j > i && p.covers(other):
				continue
			case len(p.Claims()) > 0 && len(other.Claims()) == 0:
				add(true, "%s: the claim bounds nothing, since %s beside it matches all of that for every caller", p, other)
			default:
				add(false, "%s: adds nothing to %s beside it", p, other)
			}
			break
		}
	}
	if r.Versions.text == "" && !r.RefuseDowngrade {
		return
	}
	for i := range rules {
		if other := &rules[i]; other.Name != r.Name && other.lifts(r) && !other.holds(r) {
			add(false, "its versions and downgrade bound little, since the rule %s allows some of the same images without", other.Name)
		}
	}
}

// lifts reports whether the rule surely allows a caller some of what the other one
// bounds by versions or downgrade.
func (r *Rule) lifts(other *Rule) bool {
	meet := func(a, b []string) bool {
		return slices.ContainsFunc(a, func(text string) bool { return slices.Contains(b, text) })
	}
	return r.Versions.text == "" && (!r.RefuseDowngrade || !other.RefuseDowngrade) && meet(r.Callers, other.Callers) &&
		(len(r.Targets) == 0 || len(other.Targets) == 0 || meet(r.Targets, other.Targets)) &&
		slices.ContainsFunc(r.Images, func(own Pattern) bool {
			return slices.ContainsFunc(other.Images, func(p Pattern) bool { return own.covers(p) || p.covers(own) })
		})
}

// reviewImages reviews the rule's patterns.
func (r *Rule) reviewImages(by map[string]Known, add func(wrong bool, format string, args ...any)) {
	federated := slices.ContainsFunc(r.Callers, func(name string) bool { return by[name].Federated })
	for _, p := range r.Images {
		claims := p.Claims()
		for _, claim := range claims {
			switch {
			case slices.Contains(chosen, claim):
				add(true, "%s: whoever starts the job chooses the claim %s, and so the image: use repository, project_path or a property", p, claim)
			case claim == "sub":
				add(true, "%s: the claim sub holds colons, so it is no path of an image and the pattern matches nothing", p)
			}
		}
		before, _, _ := strings.Cut(p.text, "${")
		switch {
		case len(claims) > 0 && strings.ContainsAny(before, wildcards):
			add(false, "%s: a wildcard before the claim lets a caller move images that end like its own, of whomever they are", p)
		case len(claims) == 0 && federated && strings.ContainsAny(p.text, wildcards):
			add(false, "%s: every job that is one of the rule's callers may move all of these images: ${repository} would part them", p)
		}
	}
}

// reviewCallers reviews whether the rule's callers have what its patterns need.
func (r *Rule) reviewCallers(by map[string]Known, add func(wrong bool, format string, args ...any)) {
	claimed := !slices.ContainsFunc(r.Images, func(p Pattern) bool { return len(p.Claims()) == 0 })
	for _, name := range r.Callers {
		c, known := by[name]
		switch {
		case !known:
		case !c.Federated && claimed:
			add(true, "the caller %s has no claims, so that no pattern of the rule matches anything for it", name)
		case c.Federated && !c.ByNumber:
			add(false, "the caller %s is pinned by names alone, which can be given up and taken over: add repository_owner_id, repository_id, namespace_id or project_id to its claims", name)
		}
	}
}

// holds reports whether the rule surely allows all that the other one does.
func (r *Rule) holds(other *Rule) bool {
	return subset(other.Callers, r.Callers) &&
		(len(r.Targets) == 0 || len(other.Targets) > 0 && subset(other.Targets, r.Targets)) &&
		(r.Versions.text == "" || r.Versions.text == other.Versions.text) &&
		(!r.RefuseDowngrade || other.RefuseDowngrade) && (r.OverrideFreeze || !other.OverrideFreeze) && (r.Rollback || !other.Rollback) &&
		(r.ReleaseHolds || !other.ReleaseHolds) &&
		!slices.ContainsFunc(other.Images, func(p Pattern) bool {
			return !slices.ContainsFunc(r.Images, func(own Pattern) bool { return own.covers(p) })
		})
}

// covers reports whether a pattern surely matches all that the other one does.
func (p Pattern) covers(other Pattern) bool {
	if p.text == other.text || p.text == "**" {
		return true
	}
	prefix, all := strings.CutSuffix(p.text, "/**")
	return all && len(p.Claims()) == 0 && !strings.ContainsAny(prefix, wildcards) && strings.HasPrefix(other.text, prefix+"/")
}

func subset(texts, of []string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !slices.Contains(of, text) })
}
