package update

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	gfm "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// markdown reads a body as GitHub does: CommonMark with tables, strikethrough, task lists
// and addresses that become links.
var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe()))

// own are the words of a body that are no code, block by block, with ◦ for code.
var own = regexp.MustCompile(`^(?:` + strings.Join([]string{
	`|Image|From|To|Files|Reference|Why`,           // the heads of the tables
	`(?:◦|–)(?:<br>(?:◦|–))*(?:<br>and \d+ more)?`, // a cell
	`Requested(?: by [◦–])?, update ◦(?:, from [◦–])?(?:, at [◦–])?(?:, run [◦–])?`,
	`… and \d+ more\.`,
	`Left alone:`,
	`To keep an image where it is, .*`,
}, `|`) + `)$`)

// foreign returns what of a body is not this service's own words but stands outside of
// code, and blocks that a body does not have: a heading, a link, markup.
func foreign(body string) (found []string) {
	source := []byte(body)
	block := ""
	code, inCode := 0, false
	_ = ast.Walk(markdown.Parser().Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Document, *ast.List, *gfm.Table, *gfm.TableHeader, *gfm.TableRow:
		case *ast.ListItem, *ast.FencedCodeBlock:
		case *ast.Paragraph, *ast.TextBlock, *gfm.TableCell:
			if entering {
				block = ""
			} else if !own.MatchString(block) || inCode {
				found = append(found, block)
			}
		case *ast.HTMLBlock:
			raw := strings.TrimSpace(string(n.Lines().Value(source)))
			if n.HasClosure() {
				raw += string(n.ClosureLine.Value(source))
			}
			raw = strings.TrimSpace(raw)
			if entering && raw != "<details><summary>The difference</summary>" && raw != "</details>" &&
				(strings.Count(body, raw) != 1 || !strings.HasPrefix(raw, markerStart) || strings.Index(raw, "-->") != len(raw)-len("-->")) {
				found = append(found, raw)
			}
		case *ast.CodeSpan:
			if entering {
				block += "◦"
			}
			return ast.WalkSkipChildren, nil
		case *ast.RawHTML:
			if !entering {
				break
			}
			switch raw := string(n.Segments.Value(source)); {
			case raw == "<code>" && !inCode:
				inCode, code = true, n.Segments.At(0).Stop
				block += "◦"
			case raw == "</code>" && inCode:
				inCode = false
				if inside := source[code:n.Segments.At(0).Start]; !entities.Match(inside) {
					found = append(found, string(inside))
				}
			default:
				block += raw
			}
		case *ast.Text:
			if entering && !inCode {
				block += string(n.Value(source))
			}
		case *ast.String:
			if entering && !inCode {
				block += string(n.Value)
			}
		default:
			if entering {
				found = append(found, n.Kind().String())
			}
		}
		return ast.WalkContinue, nil
	})
	return found
}

// entities is text in which nothing is markup, a mention, a keyword or an address.
var entities = regexp.MustCompile(`^(?:[A-Za-z0-9 ]|&#[0-9]+;)*$`)

// hostile are texts that mean something to who shows or reads a body.
var hostile = []string{
	"plain", "fixes #1, @mona", "<script>alert(1)</script>", "``` \n# title\n```", "````\n```", "a|b\nc", "-->", "--!>", "`code`", "[x](http://example.com)",
	"~~~\nx\n~~~", "\u202eevil", "https://example.com/?a=b&c=d", "&#35;1", "\r\n\r\n", "</code></details><img src=x>", "a``b```c````d",
	"<!-- versions-service {\"v\":1} -->", "  - [ ] task\n\n    code", "www.example.com octo-org/web#12 GH-12", "\x00\xff", "a\n\n\n# b\n---\n", "\t```\n# x", "\\` \\<b>", "",
}

// bodyOf is a pull request of which everything that others may write is the text.
func bodyOf(tb testing.TB, text string) (*plan, proposal) {
	tb.Helper()
	m := imageNamed(tb, "ghcr.io/octo-org/web", "v2", "")
	r := Request{ID: "one", Images: []Image{m}, Caller: text, Message: text, Source: Source{Repository: text, Revision: text, URL: text}}
	p := newPlan(&target{}, &github.Snapshot{}, []Request{r})
	p.findings[0] = finding{
		files:   []File{{Path: text, Changes: []Change{{Change: manifest.Change{From: text, FromDigest: text}}}}},
		skipped: []Skip{{Path: text, Line: 3, Reason: manifest.Reason(text)}},
	}
	p.files = []plannedFile{{entry: github.Entry{Path: text}, before: []byte(text), after: []byte("# " + text)}}
	return p, proposal{Entries: []entry{newEntry(r)}}
}

// Nothing of what others wrote is anything but code, by a parser of Markdown; and the
// marker reads back what was put into it. A body fits into GitHub's bound.
func FuzzBody(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, of := bodyOf(t, text)
		began := time.Now()
		body := p.pullText(of, PullSettings{}).Body
		if took, most := time.Since(began), 2*time.Second+time.Duration(len(text))*50*time.Microsecond; took > most {
			t.Fatalf("%d bytes took %s, want at most %s", len(text), took, most)
		}
		if len(of.marker()) <= maxContent && len(body) > 65536 {
			t.Fatalf("a body of %d bytes", len(body))
		}
		if found := foreign(body); len(found) > 0 {
			t.Fatalf("%q is outside of code for %q:\n%s", found, text, body)
		}
		read, ok := readMarker(body)
		if !ok || len(read.Entries) != 1 || read.Entries[0].Caller != string([]rune(text)) {
			t.Fatalf("the marker of %q reads %+v", text, read)
		}
	})
}

// The check above finds what it is to find.
func TestForeignText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"# title", "fixes #1", "@mona", "[a](b)", "https://example.com", "<b>", "*a*", "- [ ] a", "> a", "    a", "![a](b)", "~~a~~", "<code>@mona</code>", "<!-- a -->"} {
		if len(foreign(text+"\n")) == 0 {
			t.Errorf("%q is taken for the service's own", text)
		}
	}
}

// A body costs what its texts cost, however long they are.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	for _, one := range []string{"a", "`", "|", "<", "\n", "é", "a\n"} {
		p, of := bodyOf(t, strings.Repeat(one, 1<<18/len(one)))
		of.Entries = nil // checkContent refuses what is longer
		if body := p.pullText(of, PullSettings{}).Body; len(body) > 40<<10 {
			t.Errorf("%q: %d bytes", one, len(body))
		}
	}
}

var updateBodies = flag.Bool("bodies.update", false, "write the bodies of pull requests below testdata/bodies as they are now")

// imageNamed is an image at a version, with a digest unless that is "".
func imageNamed(tb testing.TB, name, version, digest string) (m Image) {
	tb.Helper()
	var errs [3]error
	m.Repository, errs[0] = image.ParseRepository(name)
	m.Version, errs[1] = image.ParseTag(version)
	if digest != "" {
		m.Digest, errs[2] = image.ParseDigest(digest)
	}
	if err := errors.Join(errs[:]...); err != nil {
		tb.Fatal(err)
	}
	return m
}

// deployments are the plan of requests for one image each, every one in two files.
func deployments(requests []Request, lines int) *plan {
	p := newPlan(&target{Target: Target{Name: "production"}}, &github.Snapshot{Repo: github.Repo{Owner: "octo-org", Name: "infra"}, Branch: "main"}, requests)
	for i, w := range p.wanted {
		for _, path := range []string{fmt.Sprintf("apps/%d/deployment.yaml", i), fmt.Sprintf("apps/%d/job.yaml", i)} {
			before := strings.Repeat("metadata:\n  name: web\n", lines) + "image: " + w.Repository.String() + ":v1.4.2\n"
			after := strings.Replace(before, ":v1.4.2", ":"+w.Version.String(), 1)
			p.findings[i].files = append(p.findings[i].files, File{Path: path, Changes: []Change{{Change: manifest.Change{From: "v1.4.2", To: w.Version.String()}}}})
			p.files = append(p.files, plannedFile{entry: github.Entry{Path: path}, before: []byte(before), after: []byte(after)})
		}
	}
	return p
}

// The bodies below testdata/bodies are what people read.
func TestBodies(t *testing.T) {
	t.Parallel()
	const digest = "sha256:9b2a4c3f1e0d5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	one := deployments([]Request{{
		ID: "0199e0a1-5c7e-7d11-9f0e-8a4b3c2d1e0f", Images: []Image{imageNamed(t, "ghcr.io/octo-org/web", "v1.5.0", "")}, Caller: "ci",
		Message: "Fix the search\n\nFixes #12, thanks to @octocat", Source: Source{Repository: "octo-org/web", Revision: "42a252d", URL: "https://github.com/octo-org/web/actions/runs/4711"},
	}}, 1)
	one.findings[0].skipped = []Skip{{Path: "charts/web/values.yaml", Line: 7, Reason: manifest.Templated}}
	var requests []Request
	for i := range 4 {
		requests = append(requests, Request{ID: fmt.Sprintf("0199e0a1-5c7e-7d11-9f0e-%012d", i), Images: []Image{imageNamed(t, fmt.Sprintf("ghcr.io/octo-org/service-%d", i), "v2.0.0", digest)}, Caller: "release-bot"})
	}
	bodies := map[string]string{
		"image": one.pullText(proposal{}, PullSettings{Body: func(m image.Repository, v image.Tag, _ image.Digest) string {
			return "Deploys **" + m.String() + "** " + v.String() + "."
		}}).Body,
		"target": deployments(requests, 4).pullText(proposal{}, PullSettings{Group: GroupTarget}).Body,
	}
	for name, body := range bodies {
		path := filepath.Join("testdata", "bodies", name+".md")
		if *updateBodies {
			if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestBranchNames(t *testing.T) {
	t.Parallel()
	repository, err := image.ParseRepository("ghcr.io/octo-org/web_app")
	if err != nil {
		t.Fatal(err)
	}
	m := Image{Repository: repository}
	for _, tt := range []struct {
		s      PullSettings
		images []Image
		want   string
	}{
		// printf 'production\0ghcr.io/octo-org/web_app' | sha256sum, and without the image
		{PullSettings{}, []Image{m}, "versions/production-ghcr-io-octo-org-web-app-8c0252d12e"},
		{PullSettings{Prefix: "bump/"}, []Image{m}, "bump/production-ghcr-io-octo-org-web-app-8c0252d12e"},
		{PullSettings{Group: GroupTarget}, []Image{m}, "versions/production-5e27c1f118"},
	} {
		if got := tt.s.branchName("production", tt.images); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	if one, other := (PullSettings{}).branchName("a b", []Image{m}), (PullSettings{}).branchName("a-b", []Image{m}); one == other {
		t.Errorf("two targets have the branch %s", one)
	}
	long := PullSettings{}.branchName(strings.Repeat("Very.Long ", 30), []Image{m})
	if n := len(strings.TrimPrefix(long, "versions/")); n > maxSlug+1+hashDigits {
		t.Errorf("%d characters: %s", n, long)
	}
}
