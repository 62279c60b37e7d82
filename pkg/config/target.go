package config

import (
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// target reads one target and asks the hook about it.
func target(t *Target) func(value) {
	return func(v value) {
		t.Embedded = true
		_, ok := v.object(append([]field{
			{name: "name", read: parsed(&t.Name, targetName)},
			{name: "repository", required: true, read: parsed(&t.Repository, repository)},
			{name: "branch", read: parsed(&t.Branch, branch)},
			{name: "paths", read: object(
				field{name: "include", read: list(&t.Include, each(pathGlob))},
				field{name: "exclude", read: list(&t.Exclude, each(pathGlob))},
			)},
			{name: "files", read: fileKinds(&t.Files)},
			{name: "images", read: list(&t.Images, each(ParseImageGlob))},
			{name: "present", read: parsed(&t.Present, image.ParsePattern)},
			{name: "overrides", read: parsed(&t.Overrides, overrides)},
			{name: "embedded", read: boolean(&t.Embedded)},
			{name: "pin_digests", read: func(v value) {
				boolean(&t.PinDigests)(v)
				t.Unpin = !t.PinDigests
			}},
			{name: "proxies", read: proxies(&t.Proxies)},
			{name: "message", read: t.readMessage},
			{name: "author", read: parsed(&t.Author, author)},
			{name: "mode", read: parsed(&t.Mode, oneOf("commit", "pull_request"))},
			{name: "pull_request", read: t.PullRequest.read},
		}, t.gates()...)...)
		if !ok {
			return
		}
		if t.Name == "" {
			t.Name = t.defaultName()
		}
		if v.options.CheckTarget != nil {
			v.hook(v.options.CheckTarget(*t))
		}
	}
}

// readMessage reads a template, or off, which refuses callers' messages.
func (t *Target) readMessage(v value) {
	if v.node.Kind == yaml.ScalarNode && v.node.Value == "off" {
		t.RefuseMessages = true
		return
	}
	parsed(&t.Message, ParseMessage)(v)
}

func (t *Target) defaultName() string {
	if t.Branch == "" {
		return t.Repository
	}
	return t.Repository + "@" + t.Branch
}

// uniqueTargets refuses names that several targets have, regardless of case, as GitHub
// does for names of repositories.
func (r *reader) uniqueTargets(targets []Target) {
	first := make(map[string]int, len(targets))
	for i, t := range targets {
		if t.Name == "" { // refused already
			continue
		}
		key := fmt.Sprintf("targets[%d]", i)
		if slices.ContainsFunc(r.options.Targets, func(name string) bool { return strings.EqualFold(name, t.Name) }) {
			r.taken(key, fmt.Sprintf("%s is the name of a target apart from this file", quote(t.Name)))
			continue
		}
		fold := strings.ToLower(t.Name)
		other, seen := first[fold]
		switch {
		case !seen:
			first[fold] = i
		case r.lines[key+".name"] == 0 && r.lines[fmt.Sprintf("targets[%d].name", other)] == 0:
			r.taken(key, fmt.Sprintf("targets[%d] has the same repository and branch: give each a name, or join them", other))
		default:
			r.taken(key, fmt.Sprintf("targets[%d] has the name %s too", other, quote(t.Name)))
		}
	}
}

// taken reports a name that is taken, at the key name if there is one.
func (r *reader) taken(key, detail string) {
	at := r.lines[key+".name"]
	if at == 0 {
		at = r.lines[key]
	}
	r.add(&Error{Line: at, Key: key + ".name", Detail: detail})
}

// knownTargets refuses unknown targets of webhooks. It reports nothing if a target was
// refused, since that one's name may be missing.
func (r *reader) knownTargets(f *File) {
	known := slices.Clone(r.options.Targets)
	for _, t := range f.Targets {
		if t.Name == "" {
			return
		}
		known = append(known, t.Name)
	}
	isKnown := make(map[string]bool, len(known))
	for _, name := range known {
		isKnown[name] = true
	}
	for i, w := range f.Webhooks {
		named := make(map[string]bool, len(w.Targets))
		for j, name := range w.Targets {
			key := fmt.Sprintf("webhooks[%d].targets[%d]", i, j)
			var detail string
			switch {
			case name == "": // refused already
				continue
			case !isKnown[name]:
				detail = fmt.Sprintf("%s is no target; there are %s", quote(name), some(known))
			case named[name]:
				detail = fmt.Sprintf("%s is in the list twice", quote(name))
			default:
				named[name] = true
				continue
			}
			r.add(&Error{Line: r.lines[key], Key: key, Detail: detail})
		}
	}
}

// maxNamed is how many known names an error lists.
const maxNamed = 10

func some(known []string) string {
	if len(known) == 0 {
		return "none"
	}
	if len(known) > maxNamed {
		return strings.Join(known[:maxNamed], ", ") + ", …"
	}
	return strings.Join(known, ", ")
}

var (
	targetNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/@-]{0,199}$`)
	repositoryPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]{1,100}$`)
)

func targetName(text string) (string, error) {
	if !targetNamePattern.MatchString(text) {
		return "", fmt.Errorf("%s is no name: up to 200 letters, digits and . _ / @ -, a letter or digit first", quote(text))
	}
	return text, nil
}

func repository(text string) (string, error) {
	if !repositoryPattern.MatchString(text) {
		return "", fmt.Errorf("%s is not a repository in the form owner/name", quote(text))
	}
	return text, nil
}

// branch refuses text that cannot name a branch (git-check-ref-format(1)).
func branch(text string) (string, error) {
	if len(text) > 250 || strings.HasPrefix(text, "refs/") || strings.HasPrefix(text, "-") || strings.HasPrefix(text, "/") ||
		strings.HasSuffix(text, "/") || strings.HasSuffix(text, ".") || strings.HasSuffix(text, ".lock") ||
		strings.Contains(text, "..") || strings.Contains(text, "//") || strings.Contains(text, "@{") ||
		strings.ContainsAny(text, " ~^:?*[\\") || hasControl(text) {
		return "", fmt.Errorf("%s is not the name of a branch, such as main", quote(text))
	}
	return text, nil
}

func overrides(text string) (string, error) {
	if text != "report" && text != "edit" && text != "ignore" {
		return "", fmt.Errorf("%s is not one of report, edit, ignore", quote(text))
	}
	return text, nil
}

func fileKinds(into *[]string) func(value) {
	return func(v value) {
		list(into, each(func(text string) (string, error) {
			if text != "yaml" && text != "json" {
				return "", fmt.Errorf("%s is not one of yaml, json", quote(text))
			}
			return text, nil
		}))(v)
		for i, kind := range *into {
			if kind != "" && slices.Contains((*into)[:i], kind) {
				v.refuse("has %s twice", kind)
				return
			}
		}
	}
}

// maxProxies bounds the prefixes that each name of a manifest is compared with.
const maxProxies = 50

func proxies(into *[]Proxy) func(value) {
	return func(v value) {
		list(into, func(p *Proxy) func(value) {
			return object(
				field{name: "prefix", required: true, read: parsed(&p.Prefix, beginning)},
				field{name: "registry", required: true, read: parsed(&p.Registry, beginning)},
			)
		})(v)
		if len(*into) > maxProxies {
			v.refuse("has %d entries: at most %d are taken", len(*into), maxProxies)
			*into = nil
			return
		}
		taken := make(map[string]bool, len(*into))
		for i, p := range *into {
			if p.Prefix != "" && taken[p.Prefix] {
				key := v.inside(fmt.Sprintf("[%d].prefix", i), v.node).key
				v.add(&Error{Line: v.lines[key], Key: key, Detail: quote(p.Prefix) + " stands above already"})
			}
			taken[p.Prefix] = true
		}
	}
}

func author(text string) (*Author, error) {
	address, err := mail.ParseAddress(text)
	if err != nil || address.Name == "" || strings.ContainsAny(address.Name+address.Address, "<>") || hasControl(address.Name+address.Address) {
		return nil, fmt.Errorf("%s is not an author as Name <mail>", quote(text))
	}
	return &Author{Name: address.Name, Email: address.Address}, nil
}

// oneLine refuses text with control characters.
func oneLine(text string) (string, error) {
	if hasControl(text) {
		return "", errors.New("holds a line break or another control character")
	}
	return text, nil
}

// anyText accepts every text.
func anyText(text string) (string, error) { return text, nil }

func hasControl(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}
