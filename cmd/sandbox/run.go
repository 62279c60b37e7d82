package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"syscall"

	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

// The fixed names of the sandbox, which the documentation uses.
const (
	repository = "refty-yapi/refty-infra-test"
	branch     = "main"
	token      = "sandbox"
	// webhookSecret is the secret of every webhook that a secret alone enables.
	webhookSecret = "sandbox"

	exampleImage   = "ghcr.io/refty-yapi/refty-node/refty-node"
	exampleVersion = "05-06-42a252"

	defaultListenAddr = "127.0.0.1:8080"
)

// options are the command line.
type options struct {
	from       string
	dir        string
	once       bool
	githubOnly bool
	oidc       bool
}

const usage = `Runs the service in front of an embedded GitHub: no token, no network.

Usage: sandbox [flags]
  --from DIR     seed the repository with the files of DIR, which is only read,
                 in place of the built-in sample
  --dir DIR      keep the repository in DIR, and go on with one that is there;
                 a temporary folder when left out
  --once         send the example request, print the answer and the commit, and
                 end with 0 when it was committed; without --dir nothing is left
  --github-only  serve the embedded GitHub alone on LISTEN_ADDR
  --oidc         serve an issuer of OpenID Connect tokens as well, with one job,
                 which may move the images below the name of its repository

The repository is refty-yapi/refty-infra-test, its branch main. GitHub's token is
sandbox, and so is the secret of each webhook, unless CONFIG_FILE is set.
Environment: LISTEN_ADDR (127.0.0.1:8080), API_TOKENS (none: everybody may call, unless
CONFIG_FILE names callers), DATA_DIR (a folder in DIR), and as of versions-service: CONFIG_FILE (its targets are
parts of that repository), WEBHOOK_…_SECRET, DATABASE_URL, UPDATE_TIMEOUT,
GROUP_COMMITS, OVERRIDES, COMMIT_AUTHOR, COMMIT_SIGNING_KEY, CACHE_BYTES, LOG_LEVEL and LOG_FORMAT.
`

// run is the program; it returns the exit code.
func run(ctx context.Context, args []string, env service.Environment, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "sandbox: %v; see --help\n", err)
		return 2
	}
	ctx, release := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer release()
	context.AfterFunc(ctx, release)
	if err := o.run(ctx, env, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "sandbox: %v\n", err)
		return 1
	}
	return 0
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("sandbox", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.from, "from", "", "")
	flags.StringVar(&o.dir, "dir", "", "")
	flags.BoolVar(&o.once, "once", false, "")
	flags.BoolVar(&o.githubOnly, "github-only", false, "")
	flags.BoolVar(&o.oidc, "oidc", false, "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.once && o.githubOnly:
		return o, errors.New("--once and --github-only exclude each other")
	case o.once && o.oidc:
		return o, errors.New("--once and --oidc exclude each other")
	}
	return o, nil
}

func (o options) run(ctx context.Context, env service.Environment, stdout, stderr io.Writer) error {
	files, err := seed(o.from)
	if err != nil {
		return err
	}
	dir, clean, err := o.folder()
	if err != nil {
		return err
	}
	defer clean()
	addr := "127.0.0.1:0"
	if o.githubOnly {
		addr = listenAddr(env)
	}
	hub, err := startHub(dir, addr, files)
	if err != nil {
		return err
	}
	hub.kept = o.dir != ""
	var found bool
	if hub.example, found = exampleFor(files); !found {
		fmt.Fprintf(stderr, "sandbox: --from: no file of %s names an image that can be set; the example is of the built-in sample\n", o.from)
	}
	if o.oidc {
		if env["CONFIG_FILE"] != "" {
			return errors.Join(errors.New("--oidc: unset CONFIG_FILE; it brings callers and rules of its own"), hub.stop())
		}
		if hub.jobs, err = startJobs(dir, hub.example.Image); err != nil {
			return errors.Join(err, hub.stop())
		}
		defer func() { _ = hub.jobs.stop() }()
	}
	switch {
	case o.githubOnly:
		hub.writeJob(stdout, env)
		fmt.Fprintf(stdout, githubOnlyText, hub.url, repository, branch, token, hub.repositoryDir)
		<-ctx.Done()
	case o.once:
		err = once(ctx, hub, env, stdout, stderr)
	default:
		err = serve(ctx, hub, env, stdout, stderr)
	}
	return errors.Join(err, hub.stop())
}

// folder returns the folder of the repositories; clean removes it if it is
// temporary.
func (o options) folder() (dir string, clean func(), err error) {
	if o.dir != "" {
		return o.dir, func() {}, nil
	}
	dir, err = os.MkdirTemp("", "refty-sandbox-")
	if err != nil {
		return "", nil, err
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// outline reports whether a configuration file has targets of its own, such as parts of
// the repository, and whether it says who may call. The service says what is wrong with a
// file that cannot be read.
func outline(path string) (targets, trust bool) {
	content, err := os.ReadFile(path) //nolint:gosec // the file that the service reads as well
	if path == "" || err != nil {
		return false, false
	}
	var file struct {
		Targets        []any
		Callers, Rules yaml.Node
	}
	if yaml.Unmarshal(content, &file) != nil {
		return false, false
	}
	return len(file.Targets) > 0, !file.Callers.IsZero() || !file.Rules.IsZero()
}

func listenAddr(env service.Environment) string {
	return cmp.Or(env["LISTEN_ADDR"], defaultListenAddr)
}

// environment returns the service's environment in front of the hub.
func environment(hub *hub, env service.Environment) service.Environment {
	own := service.Environment{}
	maps.Copy(own, env)
	maps.Copy(own, service.Environment{
		"GITHUB_REPOSITORY": repository,
		"GITHUB_BRANCH":     branch,
		"GITHUB_TOKEN":      token,
		"GITHUB_API_URL":    hub.url,
		"LISTEN_ADDR":       listenAddr(env),
		"DATA_DIR":          cmp.Or(env["DATA_DIR"], hub.dataDir),
	})
	for _, name := range []string{
		"GITHUB_TOKEN_FILE", "GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY", "GITHUB_APP_PRIVATE_KEY_FILE", "GITHUB_APP_INSTALLATION_ID",
	} {
		delete(own, name)
	}
	targets, trust := outline(env["CONFIG_FILE"])
	if targets {
		delete(own, "GITHUB_REPOSITORY")
		delete(own, "GITHUB_BRANCH")
	}
	for _, name := range service.WebhookSecrets() {
		if env["CONFIG_FILE"] == "" && env[name] == "" && env[name+"_FILE"] == "" {
			own[name] = webhookSecret // the examples of the interface's description work
		}
	}
	if env["API_TOKENS"] == "" && env["API_TOKENS_FILE"] == "" && !trust {
		own["AUTH"] = "none"
	}
	if hub.jobs != nil {
		hub.jobs.trust(own)
	}
	return own
}

// start builds the service in front of the hub.
func start(env service.Environment, stderr io.Writer) (*service.Service, error) {
	settings, err := service.ReadEnvironment(env)
	if err != nil {
		return nil, err
	}
	settings.Trial = true
	return service.New(settings, service.Build{}.Stamp(), stderr)
}

// serve runs the service until ctx ends.
func serve(ctx context.Context, hub *hub, env service.Environment, stdout, stderr io.Writer) error {
	env = environment(hub, env)
	svc, err := start(env, stderr)
	if err != nil {
		return err
	}
	hub.writeJob(stdout, env)
	authorization := ""
	switch {
	case hub.jobs != nil:
		authorization = " \\\n    -H \"Authorization: Bearer $token\""
	case env["AUTH"] == "":
		authorization = " \\\n    -H 'Authorization: Bearer TOKEN'"
	}
	url := browse(svc.Addr())
	webhooks := ""
	if secret := env["WEBHOOK_DOCKERHUB_SECRET"]; secret != "" {
		webhooks = fmt.Sprintf("  Webhooks            %[1]s/v1/webhooks/dockerhub?token=%[2]s, and so on; see %[1]s/docs\n", url, secret)
	}
	fmt.Fprintf(stdout, serveText, url, authorization, hub.example.body(), hub.repositoryDir, webhooks, hub.url)
	return svc.Run(ctx)
}

const serveText = `
The service is running in front of an embedded GitHub.

  The page for people %[1]s/
  Swagger UI          %[1]s/docs

  Set an image to a version:
  curl -sS %[1]s/v1/updates%[2]s \
    -H 'Content-Type: application/json' \
    -d '%[3]s'

  See the commits:
  git -C %[4]s log -p

%[5]s  The embedded GitHub %[6]s

Press Ctrl-C to stop.

`

const githubOnlyText = `
The embedded GitHub is running.

  GITHUB_API_URL=%s/
  GITHUB_REPOSITORY=%s
  GITHUB_BRANCH=%s
  GITHUB_TOKEN=%s

  See the commits:
  git -C %s log -p

Press Ctrl-C to stop.

`

// browse returns the URL by which a browser reaches an address.
func browse(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
