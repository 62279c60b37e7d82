package service

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
)

// gitHubIssuer is the file's name for the issuer of GitHub Actions on github.com.
const gitHubIssuer = "github"

// Trust holds who may call, and what they may do.
type Trust struct {
	Callers *caller.Callers // nil: no token is needed
	Policy  *policy.Policy  // nil: every caller may do everything
}

// addTrust joins the callers and rules of the variables and the file, and takes over the
// issuers of before. The error begins with a variable's name.
func (s *Settings) addTrust(file *config.File, before *caller.Callers) (err error) {
	switch none := s.Secrets == nil && len(file.Callers) == 0; {
	case none && !s.noAuth:
		return errors.New("API_TOKENS: set it to name=secret pairs, or name callers in CONFIG_FILE, or set AUTH=none to accept requests without a token")
	case s.noAuth && (len(file.Callers) > 0 || file.HasRules):
		return errors.New("AUTH: none contradicts the callers and rules of CONFIG_FILE; unset it")
	}
	if s.Trust.Callers, err = newCallers(file, s.Secrets.Named(), s.audience, before); err != nil {
		return fmt.Errorf("CONFIG_FILE: %w", err)
	}
	if err := s.checkCallers(file.Callers); err != nil {
		return fmt.Errorf("CONFIG_FILE: %w", err)
	}
	if s.Trust.Policy, err = newPolicy(file); err != nil {
		return fmt.Errorf("CONFIG_FILE: %w", err)
	}
	warnings, err := review(s.configFile, file, s.Secrets.Names())
	if err != nil {
		return fmt.Errorf("CONFIG_FILE: %w", oneOfMany(err))
	}
	for _, w := range warnings {
		s.warn("CONFIG_FILE", w)
	}
	return nil
}

// newCallers joins the callers of API_TOKENS and of the file. It returns nil if there
// are none, so that no token is needed.
func newCallers(file *config.File, named []caller.Named, audience string, before *caller.Callers) (*caller.Callers, error) {
	if len(named) == 0 && len(file.Callers) == 0 {
		return nil, nil
	}
	o := caller.Options{Named: slices.Clone(named), Transport: newTransport(), Before: before}
	for i := range o.Named {
		o.Named[i].ReadAll = !file.HasRules
	}
	for _, c := range file.Callers {
		readAll := c.Read == config.ReadAll || c.Read == "" && !file.HasRules
		if c.OIDC != nil {
			o.Federated = append(o.Federated, federated(c, audience, readAll))
			continue
		}
		hashes, err := hashesOf(c)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(o.Named, func(n caller.Named) bool { return n.Name == c.Name })
		if i < 0 {
			o.Named = append(o.Named, caller.Named{Name: c.Name})
			i = len(o.Named) - 1
		}
		o.Named[i].Secrets = append(o.Named[i].Secrets, hashes...)
		o.Named[i].ReadAll = readAll
	}
	return caller.New(o)
}

func federated(c config.Caller, audience string, readAll bool) caller.Federated {
	f := caller.Federated{Name: c.Name, Issuer: c.OIDC.Issuer, CA: c.OIDC.CA, Audience: c.OIDC.Audience, Claims: c.OIDC.Claims, ReadAll: readAll}
	if f.Issuer == gitHubIssuer {
		f.Issuer = caller.IssuerGitHub
	}
	if f.Audience == "" {
		f.Audience = audience
	}
	return f
}

func hashesOf(c config.Caller) ([]caller.Hash, error) {
	var hashes []caller.Hash
	for _, token := range c.Tokens {
		if token.SHA256 == "" {
			hashes = append(hashes, caller.HashOf(token.Secret.Reveal()))
			continue
		}
		sum, err := hex.DecodeString(token.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("caller %s: sha256 is no SHA-256 in hexadecimal digits", c.Name)
		}
		hashes = append(hashes, caller.Hash(sum))
	}
	return hashes, nil
}

// checkCaller checks a caller of the file by package caller. A missing audience is
// no error of the file, since a variable may set it.
func checkCaller(c config.Caller) error {
	if c.OIDC == nil {
		return nil
	}
	f := federated(c, "OIDC_AUDIENCE", false)
	f.CA = nil
	if err := caller.CheckIssuer(f.Issuer); err != nil {
		return &config.Error{Key: "oidc.issuer", Detail: err.Error(), Err: err}
	}
	if err := f.Check(); err != nil {
		return &config.Error{Key: "oidc.claims", Detail: err.Error(), Err: err}
	}
	return nil
}

// checkRule checks a rule of the file by package policy.
func checkRule(r config.Rule) error {
	_, err := newRule(r)
	return err
}

// newPolicy returns nil without rules, so that everything is allowed.
func newPolicy(file *config.File) (*policy.Policy, error) {
	if !file.HasRules {
		return nil, nil
	}
	rules, err := newRules(file)
	if err != nil {
		return nil, err
	}
	if file.Audit {
		return policy.New(rules).Watch(), nil
	}
	return policy.New(rules), nil
}

func newRules(file *config.File) ([]policy.Rule, error) {
	rules := make([]policy.Rule, 0, len(file.Rules))
	for _, r := range file.Rules {
		rule, err := newRule(r)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// newRule parses what package config leaves to package policy. The error is a
// *config.Error with the key.
func newRule(r config.Rule) (policy.Rule, error) {
	rule := policy.Rule{
		Name: r.Name, Callers: r.Callers, Targets: r.Targets, RefuseDowngrade: r.RefuseDowngrade, OverrideFreeze: r.OverrideFreeze, Rollback: r.Rollback,
		ReleaseHolds: r.ReleaseHolds,
	}
	for i, text := range r.Images {
		pattern, err := policy.ParsePattern(text)
		if err != nil {
			return rule, &config.Error{Key: fmt.Sprintf("images[%d]", i), Detail: err.Error(), Err: err}
		}
		rule.Images = append(rule.Images, pattern)
	}
	var err error
	if rule.Versions, err = newVersions(r.Versions); err != nil {
		return rule, &config.Error{Key: "versions", Detail: err.Error(), Err: err}
	}
	return rule, nil
}

func newVersions(t config.Tags) (policy.Versions, error) {
	switch {
	case t.Regexp != "":
		return policy.ParseRegexp(t.Regexp)
	case t.Semver != "":
		return policy.ParseRange(t.Semver)
	}
	return policy.Versions{}, nil
}

// byNumber are claims that pin a repository, owner or project by its number.
var byNumber = []string{"repository_id", "repository_owner_id", "enterprise_id", "project_id", "namespace_id"}

// review returns warnings about the rules, one line each; sure mistakes are the
// error. named are the callers of API_TOKENS.
func review(path string, file *config.File, named []string) (warnings []string, err error) {
	if !file.HasRules {
		return nil, nil
	}
	rules, err := newRules(file)
	if err != nil {
		return nil, err
	}
	known := []policy.Known{}
	lines := map[string]int{}
	for _, name := range named {
		known = append(known, policy.Known{Name: name})
	}
	for _, c := range file.Callers {
		k := policy.Known{Name: c.Name, Federated: c.OIDC != nil}
		if c.OIDC != nil {
			k.Claims = c.OIDC.Claims
			k.ByNumber = slices.ContainsFunc(byNumber, func(claim string) bool { return len(c.OIDC.Claims[claim]) > 0 })
		}
		known = append(known, k)
		lines["caller "+c.Name] = c.Line
	}
	for _, r := range file.Rules {
		lines["rule "+r.Name] = r.Line
	}
	var wrong config.Errors
	for _, f := range policy.Review(rules, known) {
		subject := "rule " + f.Rule
		if f.Caller != "" {
			subject = "caller " + f.Caller
		}
		e := &config.Error{File: path, Line: lines[subject], Detail: subject + ": " + f.Detail}
		if f.Wrong {
			wrong = append(wrong, e)
		} else {
			warnings = append(warnings, e.Error())
		}
	}
	if len(wrong) > 0 {
		return warnings, wrong
	}
	return warnings, nil
}
