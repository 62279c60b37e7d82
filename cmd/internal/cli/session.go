package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
)

// longPoll is the longest that one request for an update is held open by the service.
const longPoll = 20 * time.Second

// session is one command that asks a service.
type session struct {
	client   *client
	env      map[string]string
	output   string
	style    style
	stdout   io.Writer
	stderr   io.Writer
	progress *progress
}

// ask returns a command's RunE: it opens a session, which ends at the first signal.
func ask(p Program, o *options, run func(context.Context, *session, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, err := o.open(p)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		defer s.progress.end()
		return run(ctx, s, args)
	}
}

func (o *options) open(p Program) (*session, error) {
	if !slices.Contains([]string{"text", "json", "github"}, o.output) {
		return nil, failed(exitRefused, "--output %q is none of text, json and github", o.output)
	}
	server := o.server
	if server == "" {
		server = p.Env["VERSIONS_SERVICE_URL"]
	}
	base, err := parseServer(server)
	if err != nil {
		return nil, err
	}
	audience := o.audience
	if audience == "" {
		audience = p.Env["VERSIONS_SERVICE_AUDIENCE"]
	}
	if audience == "" {
		audience = origin(base)
	}
	clock := p.Clock
	if clock == nil {
		clock = machine{}
	}
	web := newHTTP()
	tokens, err := newTokens(p.Env, audience, web, clock)
	if err != nil {
		return nil, err
	}
	return &session{
		client: &client{base: base, http: web, tokens: tokens, clock: clock, agent: name},
		env:    p.Env, output: o.output, stdout: p.Stdout, stderr: p.Stderr,
		style:    style(p.Env["NO_COLOR"] == "" && p.Env["TERM"] != "dumb" && terminal(p.Stdout) && o.output == "text"),
		progress: &progress{w: p.Stderr, terminal: terminal(p.Stderr) && p.Env["TERM"] != "dumb"},
	}, nil
}

func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && (isatty.IsTerminal(file.Fd()) || isatty.IsCygwinTerminal(file.Fd()))
}

// source is where a version comes from, unless the token says it.
func (s *session) source() *source {
	if s.client.tokens.federated {
		return nil
	}
	return sourceOf(s.env)
}

// fetch sends a request and returns an answer of success. A problem was shown when
// the error is returned.
func (s *session) fetch(ctx context.Context, r request) (reply, error) {
	got, err := s.client.do(ctx, r)
	if err == nil && got.status < http.StatusMultipleChoices {
		return got, nil
	}
	return got, s.refuse(got, err)
}

// refuse shows why there is no answer of success.
func (s *session) refuse(got reply, err error) error {
	if err != nil {
		return s.fault(err)
	}
	s.progress.end()
	p := readProblem(got)
	if s.output == outputJSON {
		s.json(got.body)
	}
	s.showProblem(p)
	return shown(p.exitCode())
}

// fault shows an error of the command itself, or that no answer came.
func (s *session) fault(err error) error {
	s.progress.end()
	code := exitAway
	var fail *failure
	if errors.As(err, &fail) {
		code = fail.code
	}
	if s.output == outputGitHub {
		s.annotate("error", nil, err.Error())
		s.summarise("### versions-service\n\n" + markdown(err.Error()) + "\n")
	}
	return failed(code, "%w", err)
}

// carry sends a request that makes an update, waits at most so long for its end, and
// shows it. Without a time to wait the update is not stored, as of a dry run.
func (s *session) carry(ctx context.Context, r request, wait time.Duration) error {
	began := s.client.clock.Now()
	r.prefer = -1
	if wait >= 0 {
		r.prefer = int(min(wait, longPoll).Seconds())
		r.key = rand.Text()
	}
	s.progress.say("asking "+origin(s.client.base), wait)
	got, err := s.fetch(ctx, r)
	if err != nil {
		return err
	}
	return s.settle(ctx, got, began, wait)
}

// settle waits so long, from the beginning on, for the end of the update that the
// answer holds, and shows it. At the end of that time it looks once more, to tell why.
func (s *session) settle(ctx context.Context, got reply, began time.Time, wait time.Duration) error {
	deadline := began.Add(wait)
	u, err := readUpdate(got)
	if err != nil {
		return s.fault(err)
	}
	for pause := 500 * time.Millisecond; u.pending() && wait > 0; pause = min(2*pause, 3*time.Second) {
		left := deadline.Sub(s.client.clock.Now())
		s.progress.wait(u, left)
		if !s.client.clock.Sleep(ctx, min(pause, left)) {
			break
		}
		next, err := s.client.do(ctx, request{method: http.MethodGet, path: updatePath(u.ID), prefer: -1})
		switch {
		case err == nil && next.status == http.StatusOK:
			got = next
			if u, err = readUpdate(next); err != nil {
				return s.fault(err)
			}
		case err == nil && readProblem(next).exitCode() != exitAway:
			return s.refuse(next, nil)
		} // else it is stored, and the service may be back in time
		if left <= 0 {
			break
		}
	}
	s.progress.end()
	return s.showUpdate(u, got.body)
}

func updatePath(id string) string { return "/v1/updates/" + url.PathEscape(id) }

func readUpdate(got reply) (update, error) {
	var u update
	if err := json.Unmarshal(got.body, &u); err != nil || u.Status == "" {
		return u, failed(exitFault, "the answer (HTTP %d) is no update; check the URL of the service", got.status)
	}
	return u, nil
}

// progress is the line on a terminal while something is waited for. Elsewhere it
// says once what an accepted update waits for.
type progress struct {
	w        io.Writer
	terminal bool
	open     bool
	last     string
}

func (p *progress) say(text string, left time.Duration) {
	if !p.terminal {
		return
	}
	if left > 0 {
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	const columns = 100
	if runes := []rune(line(text)); len(runes) > columns {
		text = string(runes[:columns])
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", line(text))
	p.open = true
}

func (p *progress) wait(u update, left time.Duration) {
	text := "the update " + u.ID + " is stored"
	if why := u.why(); why != "" {
		text += ": " + why
	}
	p.say(text, left)
	if !p.terminal && text != p.last && left >= time.Second {
		p.last = text
		fmt.Fprintf(p.w, "%s: waiting, %s at most: %s\n", name, left.Round(time.Second), line(text))
	}
}

// end clears the line.
func (p *progress) end() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.open = false
	}
}

// why is the reason that an update is not done yet.
func (u update) why() string {
	if u.LastError != "" {
		return u.LastError
	}
	for _, t := range u.Targets {
		if t.Status == "queued" && t.Problem != nil {
			return t.Problem.Detail
		}
	}
	return ""
}
