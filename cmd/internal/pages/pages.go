// Package pages reads the documentation of this module, so that tests can hold
// it against the program. Only tests import it.
//
// A page is a Markdown file. Its fenced blocks are what a reader copies:
//
//	```sh              commands that a test runs as they are printed
//	```sh needs NAME   commands that need NAME, which no test has
//	```json, ```text   after a block that runs, in the same section: what it prints
package pages

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Page is one Markdown file.
type Page struct {
	Path     string // from the module's root, with slashes
	Text     string
	Sections []Section
}

// Section is a heading with what follows it up to the next heading of any level.
type Section struct {
	Anchor string // by which GitHub links to it; empty before the first heading
	Text   string // without the heading
	Blocks []Block
}

// Block is a fenced block.
type Block struct {
	Language string
	Needs    []string // what its commands need; nil for blocks that a test runs
	Text     string   // ends with a line break, without the fence's indentation
	Line     int      // of the opening fence
}

// IsConfiguration reports whether the block is a configuration file for the service.
func (b Block) IsConfiguration() bool {
	return b.Language == "yaml" && (strings.HasPrefix(b.Text, "targets:") || strings.HasPrefix(b.Text, "webhooks:"))
}

// All reads every page below root, but for hidden folders other than .github,
// test data and installed packages.
func All(root string) ([]Page, error) {
	var all []Page
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			hidden := strings.HasPrefix(name, ".") && name != ".github" && path != root
			if hidden || name == "testdata" || name == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".md" {
			return nil
		}
		page, err := Read(root, path[len(root):])
		all = append(all, page)
		return err
	})
	return all, err
}

// Read reads one page; path is from root.
func Read(root, path string) (Page, error) {
	text, err := os.ReadFile(filepath.Join(root, path)) //nolint:gosec // a test names the file
	if err != nil {
		return Page{}, err
	}
	return Parse(strings.TrimPrefix(filepath.ToSlash(path), "/"), string(text)), nil
}

var (
	heading   = regexp.MustCompile(`^#{1,6} (.+)$`)
	fence     = regexp.MustCompile("^( *)```(.*)$")
	inLink    = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
	notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Parse parts a text into sections and blocks.
func Parse(path, text string) Page {
	page := Page{Path: path, Text: text, Sections: []Section{{}}}
	var open *Block
	indent := ""
	for i, line := range strings.Split(text, "\n") {
		section := &page.Sections[len(page.Sections)-1]
		m := fence.FindStringSubmatch(line)
		switch {
		case open != nil && m != nil:
			section.Blocks = append(section.Blocks, *open)
			open = nil
		case open != nil:
			open.Text += strings.TrimPrefix(line, indent) + "\n"
		case m != nil:
			indent = m[1]
			open = newBlock(m[2], i+1)
		default:
			if h := heading.FindStringSubmatch(line); h != nil {
				page.Sections = append(page.Sections, Section{Anchor: anchor(h[1])})
				continue
			}
		}
		section.Text += line + "\n"
	}
	return page
}

func newBlock(info string, line int) *Block {
	language, rest, _ := strings.Cut(strings.TrimSpace(info), " ")
	b := &Block{Language: language, Line: line}
	if needs, ok := strings.CutPrefix(rest, "needs "); ok {
		b.Needs = strings.Split(needs, ", ")
	}
	return b
}

// anchor is the name that GitHub gives to a heading.
func anchor(heading string) string {
	heading = inLink.ReplaceAllString(heading, "$1")
	return strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// Has reports whether the page has a section of that anchor.
func (p Page) Has(anchor string) bool {
	_, ok := p.Section(anchor)
	return ok
}

// Section returns the section of that anchor.
func (p Page) Section(anchor string) (Section, bool) {
	i := slices.IndexFunc(p.Sections, func(s Section) bool { return s.Anchor == anchor })
	if i < 0 {
		return Section{}, false
	}
	return p.Sections[i], true
}

// Blocks are the blocks of all sections.
func (p Page) Blocks() []Block {
	var all []Block
	for _, s := range p.Sections {
		all = append(all, s.Blocks...)
	}
	return all
}

// prose is a section's text without its blocks and inline code.
func (s Section) prose() string {
	var out strings.Builder
	inBlock := false
	for line := range strings.Lines(s.Text) {
		if fence.MatchString(strings.TrimRight(line, "\n")) {
			inBlock = !inBlock
			continue
		}
		if !inBlock {
			out.WriteString(line)
		}
	}
	return inlineCode.ReplaceAllString(out.String(), "``")
}

var (
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	links      = regexp.MustCompile(`\]\(([^()\s]+)\)`)
)

// Links are the targets of the page's links, those inside blocks and code left out.
func (p Page) Links() []string {
	var all []string
	for _, s := range p.Sections {
		for _, m := range links.FindAllStringSubmatch(s.prose(), -1) {
			all = append(all, m[1])
		}
	}
	return all
}
