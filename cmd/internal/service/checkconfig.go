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
)

// exitDenied is the exit code for a move that no rule allows.
const exitDenied = 2

// maxClaimsFile bounds a file of claims in bytes; a token has up to 4,000.
const maxClaimsFile = 64 << 10

// question is a move that the rules of a file decide.
type question struct {
	caller, claims, image, version string
}

// checkConfig is the command check-config: it reports what is wrong with a file, or
// counts what is in it, and decides a move by its rules. It looks up no secret. A file
// without targets is checked with the target of the variables.
func checkConfig(args []string, env Environment, stdout, stderr io.Writer) int {
	var q question
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
	for _, w := range warnings {
		fmt.Fprintf(stderr, "warning: %s\n", w)
	}
	if asked {
		return q.decide(file, own, stdout, stderr)
	}
	fmt.Fprintf(stdout, "%s: good: %d targets, %d webhooks, %d callers, %d rules\n", path, len(file.Targets), len(file.Webhooks), len(file.Callers), len(file.Rules))
	return exitOK
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

// decide prints the decision of the rules on the move, for each target.
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
	if rules == nil {
		fmt.Fprintln(stdout, "allowed: the file has no rules, so every caller may move every image")
		return exitOK
	}
	targets := slices.Clone(own)
	for _, t := range file.Targets {
		targets = append(targets, t.Name)
	}
	code := exitDenied
	for _, target := range targets {
		move.Target = target
		d := rules.Decide(who, move)
		switch {
		case d.Allowed:
			code = exitOK
			fmt.Fprintf(stdout, "%s: allowed by the rule %s\n", target, d.Rule)
		case d.Rule == "":
			fmt.Fprintf(stdout, "%s: denied: %s\n", target, strings.Join(d.Reasons, "; "))
		default:
			fmt.Fprintf(stdout, "%s: denied; the closest rule is %s: %s\n", target, d.Rule, strings.Join(d.Reasons, "; "))
		}
	}
	return code
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
