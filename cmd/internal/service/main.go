package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/cli"
	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
)

// healthcheckTimeout bounds the request of `versions-service healthcheck`.
const healthcheckTimeout = 3 * time.Second

// Exit codes: failed for what went wrong, misused for a wrong command line or a
// wrong environment.
const (
	exitOK      = 0
	exitFailed  = 1
	exitMisused = 2
)

// Build identifies the binary.
type Build struct {
	Version, Commit, Date string
}

// Stamp fills the fields that the linker did not set from the build information.
func (b Build) Stamp() Build {
	settings := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
	}
	fill := func(field *string, value, otherwise string) {
		switch {
		case *field != "":
		case value != "":
			*field = value
		default:
			*field = otherwise
		}
	}
	fill(&b.Version, "", "dev")
	fill(&b.Commit, settings["vcs.revision"], "unknown")
	fill(&b.Date, settings["vcs.time"], "unknown")
	return b
}

// String is what --version prints.
func (b Build) String() string {
	return fmt.Sprintf("versions-service %s, commit %s, built %s", b.Version, b.Commit, b.Date)
}

// Main is the program versions-service; it returns the exit code. SIGINT and
// SIGTERM stop it gracefully, SIGHUP has it read its files again. A second signal ends updates under way at once, except
// those whose commit is on its way.
func (b Build) Main(ctx context.Context, args []string, env Environment, stdout, stderr io.Writer) int {
	return b.Program(env, stdout, stderr).Run(ctx, args)
}

// Program returns the command line of Main.
func (b Build) Program(env Environment, stdout, stderr io.Writer) cli.Program {
	b = b.Stamp()
	return cli.Program{
		Version: b.String(), Env: env, Stdout: stdout, Stderr: stderr,
		Serve: func(ctx context.Context) int { return b.serve(ctx, env, stderr) },
		Help:  variablesHelp,
		Local: []cli.Local{
			{
				Use: "check-config FILE", Short: "say whether a CONFIG_FILE is right, and what its rules allow", Long: checkConfigHelp,
				Run: func(_ context.Context, args []string) int { return checkConfig(args, env, stdout, stderr) },
			},
			{
				Use: "config-schema", Short: "print the JSON Schema of a CONFIG_FILE", Long: "Prints the JSON Schema of a CONFIG_FILE, by which an editor completes and checks it.",
				Run: func(context.Context, []string) int { fmt.Fprint(stdout, config.Schema()); return exitOK },
			},
			{
				Use: "backup", Short: "write a copy of the SQLite queue to the standard output", Long: backupHelp,
				Run: func(ctx context.Context, _ []string) int { return backup(ctx, env, stdout, stderr) },
			},
			{
				Use: "healthcheck", Short: "exit 0 when the service on LISTEN_ADDR is alive", Long: "Asks the service that runs in the same environment whether it is alive.",
				Run: func(ctx context.Context, _ []string) int { return healthcheck(ctx, env, stderr) },
			},
		},
	}
}

const checkConfigHelp = `Says whether a CONFIG_FILE is right, without starting and without its secrets. With a caller,
an image and a version it decides whether the file's rules allow that, in each target.

  --caller NAME   the caller, as in the file or in API_TOKENS
  --claims FILE   the claims of the caller's token, as JSON
  --image X       the image, without a version
  --version Y     the version

Exit codes: 0 good or allowed, 1 a wrong file, 2 denied or wrong arguments.`

func variablesHelp(w io.Writer) {
	fmt.Fprint(w, `
The service reads these variables. A secret X may come as X_FILE, the path of a file that
holds it: GITHUB_TOKEN, GITHUB_APP_PRIVATE_KEY, API_TOKENS, COMMIT_SIGNING_KEY,
DATABASE_URL, OTEL_EXPORTER_OTLP_HEADERS and the secrets of webhooks. SIGHUP has it read its files again, as it does
when they change.
`)
	writeVariables(w)
}

func (b Build) serve(ctx context.Context, env Environment, stderr io.Writer) int {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // which would end the process before it serves
	defer signal.Stop(hangups)
	settings, err := ReadEnvironment(env)
	if err != nil {
		fmt.Fprintf(stderr, "versions-service: %v\n", err)
		return exitMisused
	}
	settings.AskAtStart = true
	settings.fitMemory(limitMemory())
	service, err := New(settings, b, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "versions-service: %v\n", err)
		return exitFailed
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		acts := []func(){stop, service.Interrupt}
		for len(acts) > 0 {
			select {
			case <-hangups:
				service.Reload()
			case <-signals:
				acts[0]()
				acts = acts[1:]
			case <-ended:
				return
			}
		}
	}()
	if err := service.Run(ctx); err != nil {
		fmt.Fprintf(stderr, "versions-service: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// healthcheck asks the service that runs in the same environment.
func healthcheck(ctx context.Context, env Environment, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, healthcheckTimeout)
	defer cancel()
	if err := askHealth(ctx, strings.TrimSpace(env["LISTEN_ADDR"])); err != nil {
		fmt.Fprintf(stderr, "versions-service: healthcheck: %v\n", err)
		return exitFailed
	}
	return exitOK
}

func askHealth(ctx context.Context, listen string) error {
	if listen == "" {
		listen = defaultListenAddr
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // not localhost: a bare container has no hosts file
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
