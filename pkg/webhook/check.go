package webhook

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// check returns one *OptionError for each option that is wrong, joined.
func (o Options) check() error {
	var found []error
	refuse := func(option, format string, args ...any) {
		found = append(found, &OptionError{Source: o.Name, Option: option, Detail: fmt.Sprintf(format, args...)})
	}
	if !o.Kind.known() {
		refuse("kind", "%s is not a kind: write one of %v", quote(string(o.Kind)), Kinds())
		return found[0]
	}
	o.checkSecrets(refuse)
	o.checkNames(refuse)
	o.checkGoogle(refuse)
	o.checkGeneric(refuse)
	return errors.Join(found...)
}

type refusal = func(option, format string, args ...any)

func (o Options) checkSecrets(refuse refusal) {
	switch {
	case o.Kind == KindGAR && len(o.Secrets) > 0:
		refuse("secrets", "kind gar is proven by Google's token: leave them out")
	case o.Kind != KindGAR && len(o.Secrets) == 0:
		refuse("secrets", "is missing: give the secret that the registry was given")
	}
	for i, s := range o.Secrets {
		switch {
		case s == "":
			refuse("secrets", "number %d is empty", i+1)
		case strings.ContainsFunc(s, isControl):
			refuse("secrets", "number %d holds a line break or another control character, which no registry sends", i+1)
		case strings.TrimSpace(s) != s:
			refuse("secrets", "number %d begins or ends with white space, which no registry sends", i+1)
		}
	}
}

func (o Options) checkNames(refuse refusal) {
	switch {
	case o.Registry == "" && (o.Kind == KindZot || o.Kind == KindNexus):
		refuse("registry", "payloads of kind %s do not name the registry: give its host[:port] as manifests write it", o.Kind)
	case o.Registry != "":
		if err := checkHost(o.Registry); err != nil {
			refuse("registry", "%v", err)
		}
	}
	for i, glob := range o.Images {
		if glob == "" || !doublestar.ValidatePattern(glob) {
			refuse("images", "number %d, %s, is not a glob", i+1, quote(glob))
		}
	}
	for i, r := range o.Rewrite {
		if err := checkPrefix(r.From); err != nil {
			refuse("rewrite", "number %d, from: %v", i+1, err)
		}
		if err := checkPrefix(r.To); err != nil {
			refuse("rewrite", "number %d, to: %v", i+1, err)
		} else if host, _, _ := strings.Cut(r.To, "/"); !isHost(host) {
			refuse("rewrite", "number %d, to: %s does not begin with a registry's host: write it out, docker.io too", i+1, quote(r.To))
		}
	}
}

func (o Options) checkGoogle(refuse refusal) {
	if o.Kind != KindGAR {
		if o.Audience != "" {
			refuse("audience", "only kind gar has it")
		}
		if o.ServiceAccount != "" {
			refuse("service_account", "only kind gar has it")
		}
		return
	}
	if o.Audience == "" {
		refuse("audience", "is missing: give the audience of the push subscription")
	}
	if !strings.Contains(o.ServiceAccount, "@") {
		refuse("service_account", "is not an email address: give the service account that the push subscription authenticates as")
	}
	if o.Transport == nil {
		refuse("transport", "is missing: kind gar fetches Google's keys through it")
	}
	if u, err := url.Parse(o.Keys.withDefaults().URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		refuse("keys", "the address is not an http or https URL")
	}
}

func (o Options) checkGeneric(refuse refusal) {
	switch {
	case o.Kind != KindGeneric && o.Generic != nil:
		refuse("generic", "only kind generic has it")
	case o.Kind == KindGeneric && o.Generic == nil:
		refuse("generic", "is missing: give JSON pointers to image and version")
	case o.Generic != nil:
		o.Generic.check(refuse)
	}
}

// checkHost returns an error unless host is a registry's host[:port] in lower case.
func checkHost(host string) error {
	switch {
	case strings.Contains(host, "/"):
		return fmt.Errorf("%s is more than host[:port]: leave out scheme and path", quote(host))
	case !isHost(host):
		return fmt.Errorf("%s does not read as a host in front of an image: it needs a dot, a port, or to be localhost", quote(host))
	}
	_, err := image.ParseRepository(host + "/x")
	return err
}

// checkPrefix returns an error unless an image's name can begin with the path
// components of prefix.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return errors.New("it is empty")
	}
	name := prefix + "/x"
	if host, _, _ := strings.Cut(prefix, "/"); !isHost(host) {
		name = "localhost/" + name
	}
	_, err := image.ParseRepository(name)
	return err
}
