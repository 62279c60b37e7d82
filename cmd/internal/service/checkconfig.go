package service

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
)

// exitDenied is the exit code for a move that no rule allows.
const exitDenied = 2

// maxClaimsFile bounds a file of claims in bytes; a token has up to 4,000.
const maxClaimsFile = 64 << 10

// question is a move that the rules of a file decide.
type question struct {
	caller, claims, image, version string
	audience                       string // OIDC_AUDIENCE
}

// checkConfig is the command check-config: it reports what is wrong with a file, or
// counts what is in it, and decides a move by its rules. It looks up no secret. A file
// without targets is checked with the target of the variables.
func checkConfig(args []string, env Environment, stdout, stderr io.Writer) int {
	q := question{audience: strings.TrimSpace(env["OIDC_AUDIENCE"])}
	flags := flag.NewFlagSet("check-config", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&q.caller, "caller", "", "")
	flags.StringVar(&q.claims, "claims", "", "")
	flags.StringVar(&q.image, "image", "", "")
	flags.StringVar(&q.version, "version", "", "")
	path, rest := "", args
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		path, rest = args[0], args[1:]
	}
	err := flags.Parse(rest)
	if path == "" && flags.NArg() == 1 {
		path = flags.Arg(0)
	} else if flags.NArg() > 0 {
		path = ""
	}
	asked := q.caller != "" || q.image != "" || q.version != "" || q.claims != ""
	if err != nil || path == "" || asked && (q.caller == "" || q.image == "" || q.version == "") {
		fmt.Fprintln(stderr, "versions-service: check-config wants the path of one file, and to decide a move --caller NAME --image X --version Y [--claims FILE]")
		return exitMisused
	}
	file, own, err := readForCheck(path, env)
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		return exitFailed
	}
	warnings, err := review(path, file, namedCallers(env))
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		return exitFailed
	}
	for _, w := range append(warnings, withoutAudience(path, file, q.audience)...) {
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	if asked {
		return q.decide(file, own, stdout, stderr)
	}
	fmt.Fprintf(stdout, "%s: good: %d targets, %d webhooks, %d callers, %d rules\n", path, len(file.Targets), len(file.Webhooks), len(file.Callers), len(file.Rules))
	return exitOK
}

// withoutAudience warns of callers that need OIDC_AUDIENCE where it is not set: it may be
// where the service runs.
func withoutAudience(path string, file *config.File, audience string) (warnings []string) {
	for _, c := range file.Callers {
		if c.OIDC != nil && c.OIDC.Audience == "" && audience == "" {
			warnings = append(warnings, fmt.Sprintf("%s:%d: caller %s: has no audience, so the service starts with OIDC_AUDIENCE only", path, c.Line, c.Name))
		}
	}
	return warnings
}

// readForCheck reads the file, and the names of targets outside of it.
func readForCheck(path string, env Environment) (*config.File, []string, error) {
	o := config.Options{Callers: namedCallers(env)}
	file, err := readConfig(path, readFile, o)
	alone := Settings{repository: strings.TrimSpace(env["GITHUB_REPOSITORY"]), branch: strings.TrimSpace(env["GITHUB_BRANCH"])}
	if alone.repository == "" || err == nil && len(file.Targets) > 0 {
		return file, nil, err
	}
	o.Targets = alone.ownTargets()
	if beside, wrong := readConfig(path, readFile, o); wrong == nil {
		return beside, o.Targets, nil
	}
	return file, nil, err
}

// namedCallers returns the callers of API_TOKENS, or none if it cannot be read.
func namedCallers(env Environment) []string {
	secrets, err := caller.ParseSecrets(env["API_TOKENS"])
	if err != nil {
		return nil
	}
	return secrets.Names()
}

// decide prints the decision on the move, for each target. What the claims leave out of the
// caller's is taken as fitting, and said.
func (q question) decide(file *config.File, own []string, stdout, stderr io.Writer) int {
	who, move, err := q.parse()
	if err != nil {
		fmt.Fprintf(stderr, "versions-service: check-config: %v\n", err)
		return exitMisused
	}
	rules, err := newPolicy(file)
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		return exitFailed
	}
	foreign, missing := q.judge(file, who)
	if len(missing) > 0 {
		fmt.Fprintf(stderr, "note: the claims lack %s, which must fit the caller %s as well\n", strings.Join(missing, ", "), q.caller)
	}
	targets := file.Targets
	for _, name := range own {
		targets = append(targets, config.Target{Name: name})
	}
	code := exitDenied
	for _, t := range targets {
		move.Target = t.Name
		allowed, why := decision(rules, who, move, t, foreign)
		if allowed {
			code = exitOK
		}
		fmt.Fprintf(stdout, "%s: %s\n", t.Name, why)
	}
	return code
}

// judge compares the claims with those of the caller, if both are there.
func (q question) judge(file *config.File, who policy.Caller) (against, missing []string) {
	at := slices.IndexFunc(file.Callers, func(c config.Caller) bool { return c.Name == q.caller && c.OIDC != nil })
	if at < 0 || who.Claims == nil {
		return nil, nil
	}
	f := federated(file.Callers[at], q.audience, false)
	if f.Audience == "" {
		f.Audience = who.Claims["aud"]
	}
	return f.Judge(who.Claims)
}

// decision is what the service would decide about the move before it reads the branch:
// foreign is why the token is not the caller's.
func decision(rules *policy.Policy, who policy.Caller, m policy.Move, t config.Target, foreign []string) (allowed bool, why string) {
	if len(foreign) > 0 {
		return false, "denied: the token is not the caller's: " + strings.Join(foreign, "; ")
	}
	d := policy.Decision{Allowed: true}
	if rules != nil {
		d = rules.Decide(who, m)
	}
	switch err := refuses(t, m); {
	case !d.Allowed && d.Rule == "":
		return false, "denied: " + strings.Join(d.Reasons, "; ")
	case !d.Allowed:
		return false, fmt.Sprintf("denied; the closest rule is %s: %s", d.Rule, strings.Join(d.Reasons, "; "))
	case err != nil:
		return false, "denied: the target refuses it: " + err.Error()
	case rules == nil:
		return true, "allowed: the file has no rules"
	default:
		return true, "allowed by the rule " + d.Rule
	}
}

// refuses returns why the target does not take the move from anybody, whatever its branch
// holds.
func refuses(t config.Target, m policy.Move) error {
	if takes := (&update.Target{Images: t.Images}).TakesImage(m.Image); !takes {
		return fmt.Errorf("the image %s is none of its images", m.Image.Name())
	}
	gate, err := newGate(t)
	if err == nil {
		err = gate.Versions.Check(m.Version)
	}
	if err == nil && gate.RefuseDowngrade {
		err = policy.CheckComparable(m.Version)
	}
	return err
}

func (q question) parse() (who policy.Caller, move policy.Move, err error) {
	who.Names = []string{q.caller}
	if move.Image, err = image.ParseRepository(q.image); err != nil {
		return who, move, fmt.Errorf("--image: %w", err)
	}
	if move.Version, err = image.ParseTag(q.version); err != nil {
		return who, move, fmt.Errorf("--version: %w", err)
	}
	if q.claims == "" {
		return who, move, nil
	}
	info, err := os.Stat(q.claims)
	if err != nil {
		return who, move, fmt.Errorf("--claims: %w", err)
	}
	if info.Size() > maxClaimsFile {
		return who, move, fmt.Errorf("--claims: the file has more than %d bytes", maxClaimsFile)
	}
	content, err := os.ReadFile(q.claims)
	if err != nil {
		return who, move, fmt.Errorf("--claims: %w", err)
	}
	if who.Claims, err = caller.ParseClaims(content); err != nil {
		return who, move, errors.New("--claims: the file is no JSON object, such as the payload of a token")
	}
	if !json.Valid(content) {
		return who, move, errors.New("--claims: the file holds more than one JSON object")
	}
	return who, move, nil
}
