package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Notify is an endpoint that is told how updates ended.
type Notify struct {
	// Name is unique: up to 63 lower-case letters, digits and hyphens.
	Name string
	HTTP NotifyHTTP
	// On are the statuses that it is told of, of NotifyStatuses, each one once; none means
	// all of them.
	On []string
	// Targets are names of targets, each one known, of which one must be the update's; none
	// means every target.
	Targets []string
	// Link is the service's own address, for links to updates; "" for none.
	Link string
}

// NotifyHTTP is a receiver of Standard Webhooks.
type NotifyHTTP struct {
	// URL is checked by Options.CheckNotify.
	URL string
	// Secrets sign each message; at least one. Secrets that Options has no function to look
	// up are empty.
	Secrets []Secret
	// Private reports whether its address need not be public, and Insecure, which Private
	// comes with, whether it may be http://.
	Private, Insecure bool
}

// NotifyStatuses are the ends that an endpoint may be told of.
func NotifyStatuses() []string { return []string{"committed", "failed", "held", "proposed"} }

// maxNotify bounds the endpoints, for each of which a message is stored.
const maxNotify = 20

// notify reads one endpoint and asks the hook about it.
func notify(n *Notify) func(value) {
	return func(v value) {
		_, ok := v.object(
			field{name: "name", required: true, read: parsed(&n.Name, notifyName)},
			field{name: "http", required: true, read: n.HTTP.read},
			field{name: "on", read: bounded(&n.On, len(NotifyStatuses()), oneOf(NotifyStatuses()...))},
			field{name: "targets", read: list(&n.Targets, each(oneLine))},
			field{name: "link", read: parsed(&n.Link, link)},
		)
		if ok && v.options.CheckNotify != nil {
			v.hook(v.options.CheckNotify(*n))
		}
	}
}

func (h *NotifyHTTP) read(v value) {
	_, ok := v.object(
		field{name: "url", required: true, read: parsed(&h.URL, oneLine)},
		field{name: "secrets", required: true, read: list(&h.Secrets, secret)},
		field{name: "private", read: boolean(&h.Private)},
		field{name: "insecure", read: boolean(&h.Insecure)},
	)
	if ok && h.Insecure && !h.Private {
		v.refuse("insecure: true needs private: true: http:// is for addresses of your own network")
	}
}

func notifyName(text string) (string, error) {
	if !webhookNamePattern.MatchString(text) {
		return "", fmt.Errorf("%s is no name of an endpoint: up to 63 lower-case letters, digits and hyphens", quote(text))
	}
	return text, nil
}

// link accepts the address of a website without anything behind its path.
func link(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || hasControl(text) {
		return "", fmt.Errorf("%s is no address of the service, such as https://versions.example.com", quote(text))
	}
	return strings.TrimSuffix(text, "/"), nil
}

// checkNotify refuses names that several endpoints have, and targets that are unknown.
func (r *reader) checkNotify(f *File) {
	if len(f.Notify) > maxNotify {
		r.add(&Error{Line: r.lines["notify"], Key: "notify", Detail: fmt.Sprintf("holds more than %d endpoints", maxNotify)})
		return
	}
	targets := slices.Clone(r.options.Targets)
	for _, t := range f.Targets {
		targets = append(targets, t.Name)
	}
	var names []string
	for i, n := range f.Notify {
		names = append(names, n.Name)
		if !slices.Contains(targets, "") {
			r.known(fmt.Sprintf("notify[%d].targets", i), "target", n.Targets, targets)
		}
	}
	r.uniqueNames("notify", names)
}
