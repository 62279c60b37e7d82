package cli

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// commands are those that ask a service.
func commands(p Program, o *options) []*cobra.Command {
	return []*cobra.Command{
		bump(p, o), plan(p, o), images(p, o), history(p, o),
		rollback(p, o), promote(p, o), hold(p, o), holds(p, o), release(p, o), status(p, o), retry(p, o),
	}
}

// wanted is what a command asks for: the body of POST /v1/updates.
type wanted struct {
	Image      string         `json:"image,omitempty"`
	Version    string         `json:"version,omitempty"`
	Digest     string         `json:"digest,omitempty"`
	Images     []imageVersion `json:"images,omitempty"`
	Repository string         `json:"repository,omitempty"`
	Branch     string         `json:"branch,omitempty"`
	Paths      []string       `json:"paths,omitempty"`
	Present    string         `json:"present,omitempty"`
	Message    string         `json:"message,omitempty"`
	Override   string         `json:"override,omitempty"`
	Source     *source        `json:"source,omitempty"`
	DryRun     bool           `json:"dry_run,omitempty"`
}

// name fills in what is to be moved.
func (w *wanted) name(args []string) error {
	all, err := parseImages(args)
	if err != nil {
		return err
	}
	if len(all) > 1 {
		if w.Digest != "" {
			return errors.New("--digest is for one image: write IMAGE:VERSION@DIGEST")
		}
		w.Images = all
		return nil
	}
	if all[0].Digest != "" && w.Digest != "" && all[0].Digest != w.Digest {
		return errors.New("--digest is another one than behind the version")
	}
	w.Image, w.Version = all[0].Image, all[0].Version
	if all[0].Digest != "" {
		w.Digest = all[0].Digest
	}
	return nil
}

const forms = `IMAGE VERSION, IMAGE:VERSION, IMAGE:VERSION@DIGEST, or several of the latter two, which
are changed in one commit, all of them or none.`

func bump(p Program, o *options) *cobra.Command {
	var w wanted
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "bump IMAGE VERSION",
		Short: "set an image to a version everywhere, and wait for the commit",
		Long:  "Sets images to versions in every file that names them, and waits for the commit.\nThe arguments are " + forms,
		Example: `  versions-service bump ghcr.io/octo-org/web 1.4.0
  versions-service bump ghcr.io/octo-org/web:1.4.0 ghcr.io/octo-org/api:2.1.0`,
	}
	w.flags(cmd)
	cmd.Flags().BoolVar(&w.DryRun, "dry-run", false, "show the change and write nothing, as plan does")
	waitFlag(cmd, &wait)
	return w.sent(p, o, cmd, &wait)
}

func plan(p Program, o *options) *cobra.Command {
	w := wanted{DryRun: true}
	cmd := &cobra.Command{
		Use:   "plan IMAGE VERSION",
		Short: "show what bump would change, as a diff",
		Long:  "Shows what bump would change, as a diff that git apply takes, and writes nothing.\nThe arguments are " + forms,
	}
	w.flags(cmd)
	return w.sent(p, o, cmd, new(time.Duration))
}

func (w *wanted) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&w.Digest, "digest", "", "digest of the version, such as sha256:…")
	flags.StringVar(&w.Repository, "repository", "", "only targets in this repository, as owner/name")
	flags.StringVar(&w.Branch, "branch", "", "only targets on this branch")
	flags.StringArrayVar(&w.Paths, "path", nil, "only files that match this glob, such as 'apps/**'; may be given several times")
	flags.StringVar(&w.Present, "present", "", "only references whose present version matches this regular expression")
	flags.StringVar(&w.Message, "message", "", "the commit's message in place of the service's own")
	flags.StringVar(&w.Override, "override", "", "reason to write to a frozen target, where a rule allows it")
}

// sent makes the command one that sends w.
func (w *wanted) sent(p Program, o *options, cmd *cobra.Command, wait *time.Duration) *cobra.Command {
	cmd.Args = cobra.MinimumNArgs(1)
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		return errors.Join(w.name(args), checkWait(*wait))
	}
	cmd.RunE = ask(p, o, func(ctx context.Context, s *session, _ []string) error {
		w.Source = s.source()
		return s.carry(ctx, request{method: http.MethodPost, path: "/v1/updates", body: w}, storedUnless(w.DryRun, *wait))
	})
	return cmd
}

func waitFlag(cmd *cobra.Command, wait *time.Duration) {
	cmd.Flags().DurationVar(wait, "wait", waiting, "how long to wait for an update that was accepted, such as 90s")
}

func checkWait(wait time.Duration) error {
	if wait < 0 {
		return errors.New("--wait is negative")
	}
	return nil
}

// storedUnless returns how long to wait for the update; a dry run is not stored.
func storedUnless(dryRun bool, wait time.Duration) time.Duration {
	if dryRun {
		return -1
	}
	return wait
}

func status(p Program, o *options) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "status ID", Short: "show an update; --wait waits for its end",
		Args: cobra.ExactArgs(1),
		RunE: ask(p, o, func(ctx context.Context, s *session, args []string) error {
			if err := checkWait(wait); err != nil {
				return err
			}
			began := s.client.clock.Now()
			got, err := s.fetch(ctx, request{method: http.MethodGet, path: updatePath(args[0]), prefer: -1})
			if err != nil {
				return err
			}
			return s.settle(ctx, got, began, wait)
		}),
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for the end of the update, such as 90s")
	return cmd
}

func retry(p Program, o *options) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "retry ID", Short: "try a failed or held update once more",
		Args: cobra.ExactArgs(1),
		RunE: ask(p, o, func(ctx context.Context, s *session, args []string) error {
			if err := checkWait(wait); err != nil {
				return err
			}
			began := s.client.clock.Now()
			got, err := s.client.do(ctx, request{method: http.MethodPost, path: updatePath(args[0]) + "/retry", prefer: -1})
			if err == nil && got.tries > 1 && readProblem(got).Code == "not_failed" {
				// An answer that was lost had accepted it.
				got, err = s.client.do(ctx, request{method: http.MethodGet, path: updatePath(args[0]), prefer: -1})
			}
			if err != nil || got.status >= http.StatusMultipleChoices {
				return s.refuse(got, err)
			}
			return s.settle(ctx, got, began, wait)
		}),
	}
	waitFlag(cmd, &wait)
	return cmd
}

func rollback(p Program, o *options) *cobra.Command {
	var wait time.Duration
	var body struct {
		Image  string `json:"image"`
		Target string `json:"target,omitempty"`
		To     string `json:"to,omitempty"`
		Hold   *bool  `json:"hold,omitempty"`
		Reason string `json:"reason,omitempty"`
		DryRun bool   `json:"dry_run,omitempty"`
	}
	var held bool
	cmd := &cobra.Command{
		Use: "rollback IMAGE", Short: "back to the version before, and hold it there",
		Long: "Sets an image back to the version, and digest, before the present one, and holds it there\n" +
			"until the hold is released: the next push does not undo it.",
		Args: cobra.ExactArgs(1),
	}
	cmd.RunE = ask(p, o, func(ctx context.Context, s *session, args []string) error {
		if err := checkWait(wait); err != nil {
			return err
		}
		body.Image = args[0]
		if cmd.Flags().Changed("hold") {
			body.Hold = &held
		}
		return s.carry(ctx, request{method: http.MethodPost, path: "/v1/rollbacks", body: body}, storedUnless(body.DryRun, wait))
	})
	flags := cmd.Flags()
	flags.StringVar(&body.Target, "target", "", "the target, where several name the image")
	flags.StringVar(&body.To, "to", "", "the version to go back to; the one before the present when left out")
	flags.BoolVar(&held, "hold", true, "hold the image there")
	flags.StringVar(&body.Reason, "reason", "", "why, for the hold and the commit")
	flags.BoolVar(&body.DryRun, "dry-run", false, "show the change and write nothing")
	waitFlag(cmd, &wait)
	return cmd
}

func promote(p Program, o *options) *cobra.Command {
	var wait time.Duration
	var body struct {
		From   string   `json:"from"`
		To     string   `json:"to"`
		Images []string `json:"images,omitempty"`
		DryRun bool     `json:"dry_run,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "promote FROM TO", Short: "give a target the versions that another one has",
		Long: "Gives the target TO the versions and digests that the target FROM has, in one commit.",
		Args: cobra.ExactArgs(2),
		RunE: ask(p, o, func(ctx context.Context, s *session, args []string) error {
			if err := checkWait(wait); err != nil {
				return err
			}
			body.From, body.To = args[0], args[1]
			return s.carry(ctx, request{method: http.MethodPost, path: "/v1/promotions", body: body}, storedUnless(body.DryRun, wait))
		}),
	}
	cmd.Flags().StringArrayVar(&body.Images, "image", nil, "only images that match this glob; may be given several times")
	cmd.Flags().BoolVar(&body.DryRun, "dry-run", false, "show the change and write nothing")
	waitFlag(cmd, &wait)
	return cmd
}
