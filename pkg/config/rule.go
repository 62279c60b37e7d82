package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Rule allows callers to move images.
type Rule struct {
	Name string
	// Callers are names of callers; at least one.
	Callers []string
	// Images are patterns; at least one. Options.CheckRule knows their grammar.
	Images []string
	// Targets are names of targets; none means every target.
	Targets  []string
	Versions Tags
	// RefuseDowngrade refuses versions that are lower than a present one.
	RefuseDowngrade bool
	// Rollback allows to go back to an earlier version although downgrades are refused.
	Rollback bool
	// OverrideFreeze allows to write to a target that is frozen.
	OverrideFreeze bool
	// ReleaseHolds allows to release holds of others.
	ReleaseHolds bool
	// Line is its line in the file.
	Line int
}

// maxRules bounds the rules, all of which each request is checked against.
const maxRules = 1000

func rule(r *Rule) func(value) {
	return func(v value) {
		r.Line = v.node.Line
		_, ok := v.object(
			field{name: "name", required: true, read: parsed(&r.Name, plainName)},
			field{name: "callers", required: true, read: list(&r.Callers, each(oneLine))},
			field{name: "images", required: true, read: list(&r.Images, each(oneLine))},
			field{name: "targets", read: list(&r.Targets, each(oneLine))},
			field{name: "versions", read: r.Versions.read},
			field{name: "downgrade", read: downgrade(&r.RefuseDowngrade)},
			field{name: "rollback", read: boolean(&r.Rollback)},
			field{name: "override_freeze", read: boolean(&r.OverrideFreeze)},
			field{name: "release_holds", read: boolean(&r.ReleaseHolds)},
		)
		if ok && v.options.CheckRule != nil {
			v.hook(v.options.CheckRule(*r))
		}
	}
}

// rules reads the list of rules, of which an empty one allows nothing.
func rules(f *File) func(value) {
	return func(v value) {
		if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 && v.node.Anchor == "" {
			return
		}
		if v.node.Kind == yaml.SequenceNode && len(v.node.Content) > maxRules {
			v.refuse("holds more than %d rules", maxRules)
			return
		}
		list(&f.Rules, rule)(v)
	}
}

// known refuses unknown names in a list, and names that are in it twice. noun is what
// the names are of, for the error.
func (r *reader) known(key, noun string, names, known []string) {
	seen := make(map[string]bool, len(names))
	for j, name := range names {
		at := fmt.Sprintf("%s[%d]", key, j)
		var detail string
		switch {
		case name == "": // refused already
			continue
		case !slices.Contains(known, name):
			detail = fmt.Sprintf("%s is no %s; there are %s", quote(name), noun, some(known))
		case seen[name]:
			detail = fmt.Sprintf("%s is in the list twice", quote(name))
		default:
			seen[name] = true
			continue
		}
		r.add(&Error{Line: r.lines[at], Key: at, Detail: detail})
	}
}

// checkTrust refuses combinations of callers and rules.
func (r *reader) checkTrust(f *File) {
	if len(f.Callers) > maxCallers {
		r.add(&Error{Line: r.lines["callers"], Key: "callers", Detail: fmt.Sprintf("holds more than %d callers", maxCallers)})
		return
	}
	_, hasRules := r.lines["rules"]
	f.HasRules = hasRules
	if f.Audit && !f.HasRules {
		r.add(&Error{Line: r.lines["policy"], Key: "policy", Detail: "audit needs rules: without them there is nothing to watch"})
	}
	callers := slices.Clone(r.options.Callers)
	var own []string
	for _, c := range f.Callers {
		own = append(own, c.Name)
		if !slices.Contains(callers, c.Name) {
			callers = append(callers, c.Name)
		}
		if c.OIDC != nil && !f.HasRules {
			r.add(&Error{Line: c.Line, Key: "callers", Detail: "a caller by oidc needs rules: without them, its jobs may move every image"})
		}
	}
	r.uniqueNames("callers", own)
	targets := slices.Clone(r.options.Targets)
	for _, t := range f.Targets {
		targets = append(targets, t.Name)
	}
	var named []string
	for i, rule := range f.Rules {
		named = append(named, rule.Name)
		r.known(fmt.Sprintf("rules[%d].callers", i), "caller", rule.Callers, callers)
		if !slices.Contains(targets, "") {
			r.known(fmt.Sprintf("rules[%d].targets", i), "target", rule.Targets, targets)
		}
	}
	r.uniqueNames("rules", named)
}
