package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

const (
	// minRetention is the day for which an idempotency key is kept.
	minRetention = 24 * time.Hour
	maxRetention = 10 * 365 * 24 * time.Hour
	// maxWaiting bounds what a start has to read.
	maxWaiting = 1_000_000
	// minHistory holds some thousand updates; maxHistory is more than one file of
	// SQLite is good for.
	minHistory = 16 << 20
	maxHistory = 1 << 40
	// minWebhookBody is more than any registry's smallest payload.
	minWebhookBody = 4 << 10
	// maxWebhookBody bounds the memory of one request.
	maxWebhookBody = 64 << 20
	// minBodies holds a few bodies of the default size.
	minBodies = 4 << 20
	maxBodies = 4 << 30
)

// The kinds that the file has settings of their own for.
const (
	kindGAR     = "gar"
	kindGeneric = "generic"
)

// webhook reads one source and asks the hook about it.
func webhook(w *Webhook) func(value) {
	return func(v value) {
		given, ok := v.object(
			field{name: "name", required: true, read: parsed(&w.Name, webhookName)},
			field{name: "kind", required: true, read: parsed(&w.Kind, oneLine)},
			field{name: "secrets", read: list(&w.Secrets, secret)},
			field{name: "registry", read: parsed(&w.Registry, ParseRegistry)},
			field{name: "images", read: list(&w.Images, each(ParseImageGlob))},
			field{name: "rewrite", read: list(&w.Rewrite, rewrite)},
			field{name: "tags", read: w.Tags.read},
			field{name: "present", read: parsed(&w.Present, image.ParsePattern)},
			field{name: "targets", read: list(&w.Targets, each(oneLine))},
			field{name: "audience", read: parsed(&w.Audience, oneLine)},
			field{name: "service_account", read: parsed(&w.ServiceAccount, serviceAccount)},
			field{name: "generic", read: generic(&w.Generic)},
		)
		if !ok {
			return
		}
		before := v.found
		v.fitting(w.Kind, given)
		v.uniqueRewrites(w.Rewrite)
		if v.found == before && v.options.CheckWebhook != nil {
			v.hook(v.options.CheckWebhook(*w))
		}
	}
}

// fitting refuses settings that the kind does not use, and requires those that it
// needs.
func (v value) fitting(kind string, given []value) {
	want := func(key string, needed, taken bool) {
		key = v.inside(key, v.node).key
		i := slices.IndexFunc(given, func(g value) bool { return g.key == key })
		switch {
		case i < 0 && needed:
			v.add(&Error{Line: v.node.Line, Key: key, Detail: "is missing: kind " + quote(kind) + " needs it"})
		case i >= 0 && !taken:
			given[i].refuse("kind %s takes none", quote(kind))
		}
	}
	gar, generic := kind == kindGAR, kind == kindGeneric
	want("secrets", !gar, !gar)
	want("audience", gar, gar)
	want("service_account", gar, gar)
	want("generic", generic, generic)
}

// uniqueRewrites refuses a prefix that is rewritten already.
func (v value) uniqueRewrites(rewrites []Rewrite) {
	taken := make(map[string]bool, len(rewrites))
	for i, r := range rewrites {
		if taken[r.From] {
			key := v.inside(fmt.Sprintf("rewrite[%d].from", i), v.node).key
			v.add(&Error{Line: v.lines[key], Key: key, Detail: quote(r.From) + " is rewritten above already"})
		}
		taken[r.From] = true
	}
}

// roomForBodies refuses a budget of less than two of the largest bodies: a body may be
// copied once while it is read.
func (r *reader) roomForBodies(l Limits) {
	if l.Bodies > 0 && l.Bodies < 2*l.WebhookBody {
		key := "limits.bodies"
		r.add(&Error{Line: r.lines[key], Key: key, Detail: "must be at least twice limits.webhook_body, which is " + sizeText(l.WebhookBody)})
	}
}

// uniqueWebhooks refuses names that several webhooks have.
func (r *reader) uniqueWebhooks(webhooks []Webhook) {
	first := make(map[string]int, len(webhooks))
	for i, w := range webhooks {
		other, seen := first[w.Name]
		switch {
		case w.Name == "": // refused already
		case seen:
			r.taken(fmt.Sprintf("webhooks[%d]", i), fmt.Sprintf("webhooks[%d] has the name %s too", other, quote(w.Name)))
		default:
			first[w.Name] = i
		}
	}
}

// read reads {regexp: …} or {semver: …}.
func (t *Tags) read(v value) {
	given, ok := v.object(
		field{name: "regexp", read: parsed(&t.Regexp, expression)},
		field{name: "semver", read: parsed(&t.Semver, versionRange)},
	)
	if ok && len(given) != 1 {
		v.refuse("give one of regexp and semver")
	}
}

func rewrite(r *Rewrite) func(value) {
	return object(
		field{name: "from", required: true, read: parsed(&r.From, beginning)},
		field{name: "to", required: true, read: parsed(&r.To, beginning)},
	)
}

// generic reads the places of the values in a payload of the kind generic.
func generic(into **Generic) func(value) {
	return func(v value) {
		var g Generic
		_, ok := v.object(
			field{name: "image", required: true, read: parsed(&g.Image, pointer)},
			field{name: "version", required: true, read: parsed(&g.Version, pointer)},
			field{name: "digest", read: parsed(&g.Digest, pointer)},
			field{name: "time", read: parsed(&g.Time, pointer)},
			field{name: "id", read: parsed(&g.ID, pointer)},
			field{name: "bearer", read: boolean(&g.Bearer)},
			field{name: "signature", read: func(v value) {
				g.Signature = new(Signature)
				v.object(
					field{name: "header", required: true, read: parsed(&g.Signature.Header, header)},
					field{name: "prefix", read: parsed(&g.Signature.Prefix, oneLine)},
				)
			}},
		)
		if ok && g.Bearer == (g.Signature != nil) {
			v.refuse("say how it is authenticated by one of bearer: true and signature")
		}
		*into = &g
	}
}

var (
	webhookNamePattern = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	variablePattern    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	headerPattern      = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")
	pointerPattern     = regexp.MustCompile(`^(?:/(?:[^~/]|~[01])*)+$`)
)

func webhookName(text string) (string, error) {
	if !webhookNamePattern.MatchString(text) {
		return "", fmt.Errorf("%s is no name of a webhook: up to 63 lower-case letters, digits and hyphens", quote(text))
	}
	return text, nil
}

// variableName does not repeat the text, which may be the secret itself.
func variableName(text string) (string, error) {
	if !variablePattern.MatchString(text) {
		return "", errors.New("is not the name of an environment variable")
	}
	return text, nil
}

// ParseRegistry reads a registry's host[:port] as manifests name it.
func ParseRegistry(text string) (string, error) {
	repo, err := image.ParseRepository(text + "/x")
	if err != nil || repo.Domain() != text {
		return "", fmt.Errorf("%s is not a registry's host, such as registry.example.com or registry.example.com:5000", quote(text))
	}
	return text, nil
}

func beginning(text string) (string, error) {
	if _, err := image.ParseRepository(text + "/x"); err != nil {
		return "", fmt.Errorf("%s is not an image's name or its beginning, such as registry.example.com/team", quote(text))
	}
	return text, nil
}

func serviceAccount(text string) (string, error) {
	if before, after, ok := strings.Cut(text, "@"); !ok || before == "" || after == "" || hasControl(text) {
		return "", fmt.Errorf("%s is not the mail address of a service account", quote(text))
	}
	return text, nil
}

func expression(text string) (string, error) {
	if _, err := regexp.Compile(text); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return text, nil
}

func versionRange(text string) (string, error) {
	if _, err := semver.NewConstraint(text); err != nil {
		return "", fmt.Errorf("%s is not a range of versions, such as \">=1.2, <2\"", quote(text))
	}
	return text, nil
}

func header(text string) (string, error) {
	if !headerPattern.MatchString(text) {
		return "", fmt.Errorf("%s is not the name of a header", quote(text))
	}
	return text, nil
}

func pointer(text string) (string, error) {
	if !pointerPattern.MatchString(text) || hasControl(text) {
		return "", fmt.Errorf("%s is not a JSON pointer, such as /push/tag", quote(text))
	}
	return text, nil
}
