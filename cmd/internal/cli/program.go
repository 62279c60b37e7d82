package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone         = 0
	exitFault        = 1
	exitRefused      = 2
	exitUnreferenced = 3
	exitAway         = 4
	exitTimeout      = 5
	exitPartly       = 6
)

const name = "versions-service"

// Local is a command that asks no server. It parses its own flags.
type Local struct {
	// Use is the command's name and its arguments, such as "check-config FILE".
	Use string
	// Short is one line for the list of commands, Long the text of --help.
	Short, Long string
	// Run returns the exit code.
	Run func(ctx context.Context, args []string) int
}

// Program is the command line of versions-service.
type Program struct {
	// Version is what --version prints.
	Version string
	// Env is the environment.
	Env            map[string]string
	Stdout, Stderr io.Writer
	// Clock is what commands wait by; nil is that of the machine.
	Clock Clock
	// Serve is what no command at all stands for.
	Serve func(context.Context) int
	// Help writes what --help prints behind the list of commands.
	Help  func(io.Writer)
	Local []Local
}

// failure is an error that carries the exit code of the program.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func failed(code int, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...)}
}

// shown ends the program with a code when everything was said already.
type shown int

func (shown) Error() string { return "" }

// Run runs one command line and returns the exit code. An error is one line on
// stderr.
func (p Program) Run(ctx context.Context, args []string) int {
	args = append([]string{}, args...) // cobra takes nil for the arguments of the process
	if len(args) > 0 && slices.Contains([]string{"-version", "-help"}, args[0]) {
		args[0] = "-" + args[0] // as it was accepted before there were commands
	}
	root := p.root()
	root.SetArgs(args)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	err := root.ExecuteContext(ctx)
	var code shown
	var fail *failure
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &fail):
		fmt.Fprintf(p.Stderr, "%s: %s\n", name, line(fail.Error()))
		return fail.code
	default: // cobra refuses the arguments
		fmt.Fprintf(p.Stderr, "%s: %s; see --help\n", name, line(err.Error()))
		return exitRefused
	}
}

func (p Program) root() *cobra.Command {
	o := &options{}
	version := false
	root := &cobra.Command{
		Use:           name,
		Short:         "Sets an image to a version in every manifest of a GitHub repository, in one commit.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
				return fmt.Errorf("unknown command %q (did you mean %s?)", args[0], strings.Join(like, " or "))
			}
			return fmt.Errorf("unknown command %q", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				fmt.Fprintln(p.Stdout, p.Version)
				return nil
			}
			if cmd.Flags().NFlag() > 0 {
				return errors.New("the flags are for a command, such as bump")
			}
			return exit(p.Serve(cmd.Context()))
		},
	}
	root.SuggestionsMinimumDistance = 2
	// Cobra's own flag prints by a template, with which the linker keeps every exported
	// method of every type.
	root.Flags().BoolVarP(&version, "version", "v", false, "version for "+name)
	flags := root.PersistentFlags()
	flags.StringVar(&o.server, "server", "", "URL of the service; VERSIONS_SERVICE_URL when left out")
	flags.StringVar(&o.audience, "audience", "", "audience of the job's token; VERSIONS_SERVICE_AUDIENCE, or the server's origin, when left out")
	flags.StringVarP(&o.output, "output", "o", "text", "text, json, or github: annotations and a job summary")
	own := []*cobra.Command{completion()}
	for _, l := range p.Local {
		own = append(own, l.command())
	}
	asking := commands(p, o)
	root.AddCommand(asking...)
	root.AddCommand(own...)
	root.SetHelpFunc(p.help(asking, own, root.HelpFunc()))
	return root
}

func exit(code int) error {
	if code == exitDone {
		return nil
	}
	return shown(code)
}

func (l Local) command() *cobra.Command {
	return &cobra.Command{
		Use: l.Use, Short: l.Short, Long: l.Long,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, args[0]) {
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n\nUsage:\n  %s %s\n", l.Long, name, l.Use)
				return nil
			}
			if len(args) > 0 && l.Use == cmd.Name() {
				return fmt.Errorf("%s takes no arguments", l.Use)
			}
			return exit(l.Run(cmd.Context(), args))
		},
	}
}

func completion() *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", Short: "print a script that completes commands, for bash, zsh, fish or powershell",
		Long: "Prints a script that completes commands and flags in a shell: bash, zsh, fish or powershell.\n" +
			"For bash, put it where the package bash-completion looks, or into the present shell:\n\n  source <(versions-service completion bash)",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(w)
			}
			return root.GenBashCompletionV2(w, true)
		},
	}
}

// help prints the program's own list of commands, and cobra's help of one of them.
func (p Program) help(asking, own []*cobra.Command, ofCommand func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		if cmd.HasParent() {
			ofCommand(cmd, args)
			return
		}
		w := cmd.OutOrStdout()
		list := func(title string, rows ...[2]string) {
			fmt.Fprintf(w, "\n%s\n", title)
			for _, r := range rows {
				fmt.Fprintf(w, "  %-26s %s\n", r[0], r[1])
			}
		}
		rows := func(all []*cobra.Command) (rows [][2]string) {
			for _, c := range all {
				rows = append(rows, [2]string{c.Use, c.Short})
			}
			return rows
		}
		fmt.Fprintln(w, cmd.Short)
		list("Usage:",
			[2]string{name, "serve, configured by the environment"},
			[2]string{name + " COMMAND", "a command of those below; --help behind it says more"},
			[2]string{name + " --version", "print version, commit and date"},
			[2]string{name + " --help", "print this"})
		list("Commands that ask a service:", rows(asking)...)
		list("Commands of this machine:", rows(own)...)
		fmt.Fprint(w, variables)
		if p.Help != nil {
			p.Help(w)
		}
	}
}

const variables = `
The commands that ask a service read these variables:
  VERSIONS_SERVICE_URL: the service, as --server
  VERSIONS_SERVICE_TOKEN: the caller's secret, or VERSIONS_SERVICE_TOKEN_FILE, a file that
    holds it. Without it a job of GitHub Actions with the permission id-token: write gets a
    token of its own, for the audience of --audience or VERSIONS_SERVICE_AUDIENCE; other
    jobs give their OpenID Connect token as VERSIONS_SERVICE_ID_TOKEN
  NO_COLOR: no colours on a terminal
Where a version came from is read from the variables of GitHub Actions, GitLab CI and
Jenkins. Exit codes: 0 done, 1 a fault of the command itself, 2 refused, 3 no file names
the image, 4 GitHub, the registry or the service is away, 5 not finished in time (the
service goes on with it), 6 some targets failed.
`

// options are the flags of every command that asks a service.
type options struct {
	server, audience, output string
}

// waiting is how long a command waits for an update that was accepted.
const waiting = 5 * time.Minute
