package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// maxPages bounds how often a list is asked for more, and maxEmpty how often after a
// page of a search that found nothing yet.
const (
	maxPages = 10_000
	maxEmpty = 20
)

// list is what the pages of a list hold.
type list struct {
	field    string
	elements []json.RawMessage
	// unread are the targets that could not be read.
	unread []json.RawMessage
	// goesOn reports whether the search for more was given up, full whether there are more
	// elements than were asked for.
	goesOn, full bool
}

// list sends a request for each page of a list, up to so many elements, or 0 for all.
func (s *session) list(ctx context.Context, path, field string, query url.Values, most int) (list, error) {
	all := list{field: field}
	size, empty := 0, 0
	for range maxPages {
		got, err := s.fetch(ctx, request{method: http.MethodGet, path: path, query: query, prefer: -1})
		if err != nil {
			return all, err
		}
		more, next, err := all.add(got.body)
		if err != nil {
			return all, s.fault(failed(exitFault, "the answer (HTTP %d) has no list of %s; check the URL of the service", got.status, field))
		}
		if size += len(got.body); size > maxAnswer {
			return all, s.fault(failed(exitFault, "the list has more than %d bytes; narrow it", maxAnswer))
		}
		if most > 0 && len(all.elements) >= most {
			all.full = next != "" || len(all.elements) > most
			all.elements = all.elements[:most]
			return all, nil
		}
		if empty++; more > 0 {
			empty = 0
		}
		if next == "" || empty > maxEmpty {
			all.goesOn = next != ""
			return all, nil
		}
		query.Set("cursor", next)
	}
	return all, s.fault(failed(exitFault, "the list has more than %d pages; narrow it", maxPages))
}

// add reads a page, and returns how many elements it has and the cursor of the next.
func (l *list) add(body []byte) (more int, next string, err error) {
	var page map[string]json.RawMessage
	if err := json.Unmarshal(body, &page); err != nil {
		return 0, "", err
	}
	var some []json.RawMessage
	if err := json.Unmarshal(page[l.field], &some); err != nil {
		return 0, "", err
	}
	l.elements = append(l.elements, some...)
	if cursor, ok := page["next_cursor"]; ok {
		err = json.Unmarshal(cursor, &next)
	}
	if unread, ok := page["unread"]; ok && l.unread == nil && err == nil {
		err = json.Unmarshal(unread, &l.unread)
	}
	return len(some), next, err
}

// showList prints the elements of a list as T, or as they came. Targets that could not
// be read are said on stderr, and make some of the targets failed ones.
func showList[T any](s *session, all list, show func(w io.Writer, all []T)) error {
	if s.output == outputJSON {
		fields := map[string][]json.RawMessage{all.field: append([]json.RawMessage{}, all.elements...)}
		if all.unread != nil {
			fields["unread"] = all.unread
		}
		body, err := json.Marshal(fields)
		if err != nil {
			return s.fault(failed(exitFault, "%w", err))
		}
		s.json(body)
		return s.showUnread(all)
	}
	elements := make([]T, len(all.elements))
	for i, raw := range all.elements {
		if json.Unmarshal(raw, &elements[i]) != nil {
			return s.fault(failed(exitFault, "the answer's %s are not as this program knows them; try --output json", all.field))
		}
	}
	s.progress.end()
	s.text(func(w io.Writer) {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		show(table, elements)
		_ = table.Flush()
	})
	return s.showUnread(all)
}

func (s *session) showUnread(all list) error {
	if all.goesOn {
		fmt.Fprintf(s.stderr, "%s: there may be more, which was not searched for\n", name)
	}
	if all.full {
		fmt.Fprintf(s.stderr, "%s: there may be older ones; --limit shows more\n", name)
	}
	if len(all.unread) == 0 {
		return nil
	}
	for _, raw := range all.unread {
		var one struct {
			Target  string
			Problem problem
		}
		_ = json.Unmarshal(raw, &one)
		text := "the target " + line(one.Target) + " is not read: " + line(one.Problem.Detail)
		fmt.Fprintf(s.stderr, "%s: %s\n", name, text)
		if s.output == outputGitHub {
			s.annotate("error", nil, text)
		}
	}
	return shown(exitPartly)
}

// row prints the cells of a table's row.
func row(w io.Writer, cells ...string) {
	for i, c := range cells {
		cells[i] = line(c)
	}
	fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

func images(p Program, o *options) *cobra.Command {
	var target, path, version, group, compare string
	cmd := &cobra.Command{
		Use: "images [GLOB]", Short: "list which images stand where, and at which version",
		Long: "Lists every image reference of the targets, or those of the images that match the glob.",
		Example: `  versions-service images 'ghcr.io/octo-org/**'
  versions-service images --group-by image
  versions-service images --compare staging,production`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.RunE = ask(p, o, func(ctx context.Context, s *session, args []string) error {
		query := url.Values{}
		for field, value := range map[string]string{"target": target, "path": path, "version": version, "group_by": group, "compare": compare} {
			if value != "" {
				query.Set(field, value)
			}
		}
		if len(args) == 1 {
			query.Set("image", args[0])
		}
		if group != "" && compare != "" {
			return errors.New("--group-by and --compare exclude each other")
		}
		all, err := s.list(ctx, "/v1/images", "images", query, 0)
		switch {
		case err != nil:
			return err
		case compare != "":
			return showList(s, all, comparison(strings.Split(compare, ",")))
		case group != "":
			return showList(s, all, groups)
		}
		return showList(s, all, references)
	})
	flags := cmd.Flags()
	flags.StringVar(&target, "target", "", "only this target")
	flags.StringVar(&path, "path", "", "only files that match this glob")
	flags.StringVar(&version, "version", "", "only references at this version")
	flags.StringVar(&group, "group-by", "", "image: one line for each version of an image, and which drift apart")
	flags.StringVar(&compare, "compare", "", "A,B: the versions of two targets side by side")
	return cmd
}

type reference struct {
	Image, Name, Target, Repository, Branch, Path, Version, Digest, State string
	Line                                                                  int
}

func references(w io.Writer, all []reference) {
	for _, r := range all {
		state := r.State
		if state == "current" {
			state = ""
		}
		row(w, cmp.Or(r.Target, r.Repository+"@"+r.Branch), spot(r.Path, r.Line), r.Name, version(r.Version, r.Digest), state)
	}
}

type imageGroup struct {
	Name     string
	Versions []struct {
		Version    string
		References int
		Targets    []string
	}
	Drift bool
}

func groups(w io.Writer, all []imageGroup) {
	for _, g := range all {
		for _, v := range g.Versions {
			drift := ""
			if g.Drift {
				drift = "drift"
			}
			row(w, g.Name, version(v.Version, ""), plural(v.References, "reference"), strings.Join(v.Targets, ", "), drift)
		}
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// comparison prints the versions of each image in the targets.
func comparison(targets []string) func(io.Writer, []map[string]json.RawMessage) {
	return func(w io.Writer, all []map[string]json.RawMessage) {
		row(w, append([]string{"image"}, targets...)...)
		for _, fields := range all {
			var name string
			var same bool
			_ = json.Unmarshal(fields["name"], &name)
			_ = json.Unmarshal(fields["same"], &same)
			cells := []string{name}
			for _, t := range targets {
				cells = append(cells, cmp.Or(versionsIn(fields[strings.TrimSpace(t)]), "-"))
			}
			if !same {
				cells = append(cells, "differs")
			}
			row(w, cells...)
		}
	}
}

// versionsIn are the versions of a target, each with its digest behind an @.
func versionsIn(raw json.RawMessage) string {
	var all []string
	_ = json.Unmarshal(raw, &all)
	for i, text := range all {
		tag, digest, _ := strings.Cut(text, "@")
		all[i] = version(tag, digest)
	}
	return strings.Join(all, ", ")
}

func history(p Program, o *options) *cobra.Command {
	var target string
	var limit int
	cmd := &cobra.Command{
		Use: "history IMAGE", Short: "show when an image was set to which version, and by whom",
		Args: cobra.ExactArgs(1),
		RunE: ask(p, o, func(ctx context.Context, s *session, args []string) error {
			if limit < 1 {
				return errors.New("--limit is less than 1")
			}
			query := url.Values{"image": args, "limit": {strconv.Itoa(min(limit, 100))}}
			if target != "" {
				query.Set("target", target)
			}
			all, err := s.list(ctx, "/v1/history", "history", query, limit)
			if err != nil {
				return err
			}
			return showList(s, all, past)
		}),
	}
	cmd.Flags().StringVar(&target, "target", "", "only this target")
	cmd.Flags().IntVar(&limit, "limit", 20, "the most entries")
	return cmd
}

type entry struct {
	Target, Version, Digest, From, Author string
	Commit                                struct{ SHA, URL string }
	At                                    time.Time
	RequestedBy                           string `json:"requested_by"`
	// Recorded reports whether the service made the commit; anybody can write who
	// requested it.
	Recorded bool
}

func past(w io.Writer, all []entry) {
	for _, e := range all {
		from := ""
		if e.From != "" {
			from = "was " + e.From
		}
		by := e.Author
		if e.RequestedBy != "" && e.Recorded {
			by = e.RequestedBy
		}
		row(w, e.At.UTC().Format("2006-01-02 15:04"), e.Target, version(e.Version, e.Digest), from, "by "+by, e.Commit.SHA[:min(7, len(e.Commit.SHA))])
	}
}
