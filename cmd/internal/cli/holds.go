package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

const holdsPath = "/v1/holds"

func hold(p Program, o *options) *cobra.Command {
	var body struct {
		Image  string `json:"image"`
		Target string `json:"target,omitempty"`
		Reason string `json:"reason,omitempty"`
		Until  string `json:"until,omitempty"`
	}
	cmd := &cobra.Command{
		Use: "hold IMAGE", Short: "keep an image at its version until the hold is released",
		Args: cobra.ExactArgs(1),
		RunE: ask(p, o, func(ctx context.Context, s *session, args []string) error {
			body.Image = args[0]
			got, err := s.fetch(ctx, request{method: http.MethodPost, path: holdsPath, body: body, prefer: -1, key: rand.Text()})
			if err != nil {
				return err
			}
			if s.output == outputJSON {
				s.json(got.body)
				return nil
			}
			return showList(s, list{field: "hold", elements: []json.RawMessage{got.body}}, standing)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&body.Target, "target", "", "only in this target")
	flags.StringVar(&body.Reason, "reason", "", "why, for those who meet the hold")
	flags.StringVar(&body.Until, "until", "", "when the hold ends by itself, such as 2026-12-24T18:00:00Z")
	return cmd
}

func holds(p Program, o *options) *cobra.Command {
	return &cobra.Command{
		Use: "holds", Short: "list the holds",
		Args: cobra.NoArgs,
		RunE: ask(p, o, func(ctx context.Context, s *session, _ []string) error {
			all, err := s.list(ctx, holdsPath, "holds", url.Values{}, 0)
			if err != nil {
				return err
			}
			return showList(s, all, standing)
		}),
	}
}

type heldImage struct {
	ID, Image, Target, Reason, By string
	At                            time.Time
	Until                         time.Time
}

// met says which hold an update met.
func (h heldImage) met() string {
	text := line(h.Image) + " is held by " + line(h.ID)
	if h.By != "" {
		text += " of " + line(h.By)
	}
	if h.Reason != "" {
		text += ": " + line(h.Reason)
	}
	return text
}

// standing prints a line for each hold.
func standing(w io.Writer, all []heldImage) {
	for _, h := range all {
		until := ""
		if !h.Until.IsZero() {
			until = "until " + h.Until.UTC().Format("2006-01-02 15:04")
		}
		row(w, h.ID, h.Image, h.Target, h.By, h.Reason, until)
	}
}

func release(p Program, o *options) *cobra.Command {
	return &cobra.Command{
		Use: "release ID", Short: "end a hold",
		Long: "Ends a hold. What met it is not done now: retry does that.",
		Args: cobra.ExactArgs(1),
		RunE: ask(p, o, func(ctx context.Context, s *session, args []string) error {
			got, err := s.client.do(ctx, request{method: http.MethodDelete, path: holdsPath + "/" + url.PathEscape(args[0]), prefer: -1})
			gone := err == nil && got.tries > 1 && got.status == http.StatusNotFound // an answer that was lost had ended it
			if !gone && (err != nil || got.status >= http.StatusMultipleChoices) {
				return s.refuse(got, err)
			}
			if s.output != outputJSON {
				s.text(func(w io.Writer) { fmt.Fprintf(w, "%s: released\n", line(args[0])) })
			}
			return nil
		}),
	}
}
