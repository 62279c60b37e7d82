package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// Rule allows callers to move images. Its Callers and Images are not empty.
type Rule struct {
	// Name is unique among the rules of a policy.
	Name string
	// Callers are names of callers.
	Callers []string
	Images  []Pattern
	// Targets are names of targets; none means every target.
	Targets []string
	// Versions narrows the versions; its zero value allows every version.
	Versions Versions
	// RefuseDowngrade allows only versions that are not lower than the present ones.
	RefuseDowngrade bool
	// Rollback allows to go back to an earlier version although downgrades are refused.
	Rollback bool
	// OverrideFreeze allows to write to a target that is frozen.
	OverrideFreeze bool
	// ReleaseHolds allows to release holds of others.
	ReleaseHolds bool
}

// Caller is who asks for a Move.
type Caller struct {
	// Names are the caller's names in the configuration; at least one.
	Names []string
	// Claims are the texts of the token's claims; nil for a caller with a secret.
	Claims map[string]string
}

// Move is an update that a caller asks for, on one target.
type Move struct {
	Image image.Repository
	// Version is zero for a move to a version that is not chosen yet, such as the one
	// that a hold forbids.
	Version image.Tag
	// Target is the name of a target.
	Target string
	// Rollback reports that the target had the version before.
	Rollback bool
	// Override asks to write to the target though it is frozen.
	Override bool
}

// Decision is the answer to a Move.
type Decision struct {
	Allowed bool
	// Rule is the name of the first rule that allows the move, or of the first that
	// allows a downgrade as well; of a refusal, the closest of the rules that name the
	// caller, or "" when none does.
	Rule string
	// RefuseDowngrade is set if each rule that allows the move refuses a downgrade,
	// which depends on the present versions.
	RefuseDowngrade bool
	// Rollback is set if the rule allows the rollback that was asked for, whoever refuses
	// downgrades.
	Rollback bool
	// Reasons are sentences about what does not fit the closest rule; none when the
	// move is allowed.
	Reasons []string
	// Claims are the names of the claims in the patterns of Rule.
	Claims []string
}

// Policy is an immutable list of rules. It is safe for concurrent use.
type Policy struct {
	rules   []Rule
	watched bool
}

// New returns the policy of the rules, which are not changed afterwards.
func New(rules []Rule) *Policy { return &Policy{rules: slices.Clone(rules)} }

// Watch returns a policy with the same decisions that is only watched.
func (p *Policy) Watch() *Policy { return &Policy{rules: p.rules, watched: true} }

// Watched reports whether the decisions are only logged and shown, and everything is
// done as if there were no rules.
func (p *Policy) Watched() bool { return p.watched }

// Decide reports whether the caller may make the move, and why not.
func (p *Policy) Decide(c Caller, m Move) Decision {
	closest, fewest := -1, 0
	var reasons []string
	var fits *Rule
	for i := range p.rules {
		rule := &p.rules[i]
		if !rule.names(c) {
			continue
		}
		against := rule.against(c, m)
		switch {
		case len(against) == 0 && (fits == nil || rule.better(fits, m)):
			fits = rule
		case len(against) == 0:
		case closest < 0 || len(against) < fewest:
			closest, fewest, reasons = i, len(against), against
		}
	}
	if fits != nil {
		rollback := m.Rollback && fits.Rollback
		return Decision{
			Allowed: true, Rule: fits.Name, RefuseDowngrade: fits.RefuseDowngrade && !rollback, Rollback: rollback, Claims: fits.claims(),
		}
	}
	if closest < 0 {
		return Decision{Reasons: []string{"no rule names the caller " + strings.Join(c.Names, ", ")}}
	}
	return Decision{Rule: p.rules[closest].Name, Reasons: reasons, Claims: p.rules[closest].claims()}
}

// Covers reports whether the caller may read updates of the image in the target: a
// rule of the caller allows the image there, at any version.
func (p *Policy) Covers(c Caller, repository image.Repository, target string) bool {
	return slices.ContainsFunc(p.rules, func(r Rule) bool {
		return r.names(c) && r.takesTarget(target) && r.takesImage(c, repository)
	})
}

// DecideRelease reports whether the caller may release a hold of somebody else on the
// image in the target, and why not.
func (p *Policy) DecideRelease(c Caller, repository image.Repository, target string) Decision {
	releasing := Policy{rules: slices.DeleteFunc(slices.Clone(p.rules), func(r Rule) bool { return !r.ReleaseHolds })}
	if !slices.ContainsFunc(releasing.rules, func(r Rule) bool { return r.names(c) }) {
		return Decision{Reasons: []string{"no rule with release_holds names the caller " + strings.Join(c.Names, ", ")}}
	}
	return releasing.Decide(c, Move{Image: repository, Target: target})
}

// Reaches reports whether the caller may read anything of the target.
func (p *Policy) Reaches(c Caller, target string) bool {
	return slices.ContainsFunc(p.rules, func(r Rule) bool { return r.names(c) && r.takesTarget(target) })
}

// better reports whether the rule allows more of the move than another one that allows
// it as well.
func (r *Rule) better(other *Rule, m Move) bool {
	if m.Rollback && r.Rollback != other.Rollback {
		return r.Rollback
	}
	return !r.RefuseDowngrade && other.RefuseDowngrade
}

func (r *Rule) names(c Caller) bool {
	return slices.ContainsFunc(c.Names, func(name string) bool { return slices.Contains(r.Callers, name) })
}

// claims are the names of the claims in the rule's patterns, each once.
func (r *Rule) claims() []string {
	var names []string
	for _, p := range r.Images {
		names = append(names, p.Claims()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (r *Rule) takesTarget(target string) bool {
	return len(r.Targets) == 0 || slices.Contains(r.Targets, target)
}

func (r *Rule) takesImage(c Caller, repository image.Repository) bool {
	return slices.ContainsFunc(r.Images, func(p Pattern) bool { return p.Matches(c.Claims, repository) })
}

// against returns the reasons why the rule, which names the caller, does not allow the
// move.
func (r *Rule) against(c Caller, m Move) []string {
	var reasons []string
	if !r.takesImage(c, m.Image) {
		reasons = append(reasons, fmt.Sprintf("the image %s is none of %s", m.Image.Name(), r.described(c)))
	}
	if !r.takesTarget(m.Target) {
		reasons = append(reasons, fmt.Sprintf("the target %s is none of %s", m.Target, listed(r.Targets)))
	}
	if err := r.checkVersion(m); err != nil {
		reasons = append(reasons, err.Error())
	}
	if m.Override && !r.OverrideFreeze {
		reasons = append(reasons, "it may not override a freeze")
	}
	return reasons
}

// checkVersion returns why the rule does not allow the version; nil for one that is not
// chosen yet.
func (r *Rule) checkVersion(m Move) error {
	if m.Version.IsZero() {
		return nil
	}
	if err := r.Versions.Check(m.Version); err != nil || !r.RefuseDowngrade || m.Rollback && r.Rollback {
		return err
	}
	return CheckComparable(m.Version)
}

// described lists the rule's patterns with the caller's claims filled in.
func (r *Rule) described(c Caller) string {
	texts := make([]string, len(r.Images))
	for i, p := range r.Images {
		texts[i] = p.describe(c.Claims)
	}
	return listed(texts)
}

// maxListed bounds the elements of a list in a reason.
const maxListed = 5

func listed(texts []string) string {
	if more := len(texts) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:maxListed], ", "), more)
	}
	return strings.Join(texts, ", ")
}
