package service

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

func positive(text string, n *int64) error {
	parsed, err := strconv.ParseInt(text, 10, 64)
	if err != nil || parsed <= 0 {
		return fmt.Errorf("%q is not a positive number", text)
	}
	*n = parsed
	return nil
}

func oneOf(text string, allowed ...string) error {
	for _, a := range allowed {
		if text == a {
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", text, strings.Join(allowed, ", "))
}

// checkClient checks a part of the client's options early, so that the error can
// name the variable. Its errors hold no secret.
func checkClient(o github.Options) error {
	_, err := github.NewClient(o)
	return err
}

// branchName refuses text that cannot name a branch (git-check-ref-format(1)).
func branchName(text string) error {
	if strings.HasPrefix(text, "refs/") || strings.ContainsAny(text, " ~^:?*[\\") || strings.Contains(text, "..") {
		return fmt.Errorf("%q is not the name of a branch, such as main", text)
	}
	return nil
}

// storeURL refuses text that is no address of a database. The error does not repeat
// the text, which may hold a password.
func storeURL(text string) error {
	for _, scheme := range []string{"sqlite:", "postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(text, scheme); ok && rest != "" {
			return nil
		}
	}
	return errors.New("it is neither sqlite:PATH nor postgres://USER:PASSWORD@HOST/DATABASE")
}

func listenAddress(text string) error {
	if _, _, err := net.SplitHostPort(text); err != nil {
		return fmt.Errorf("%q is not an address such as :8080 or 127.0.0.1:8080", text)
	}
	return nil
}

// networks reads addresses, and networks in CIDR notation, between commas.
func networks(text string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		network, err := netip.ParsePrefix(part)
		if addr, wrong := netip.ParseAddr(part); wrong == nil {
			network, err = addr.Unmap().Prefix(addr.Unmap().BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", part)
		}
		out = append(out, network.Masked())
	}
	return out, nil
}

func duration(text string, d *time.Duration) error {
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed < time.Second || parsed > time.Hour {
		return fmt.Errorf("%q is not a duration from 1s to 1h, such as 60s", text)
	}
	*d = parsed
	return nil
}

func size(text string, n *int64) error {
	parsed, err := humanize.ParseBytes(text)
	if err != nil || parsed > 1<<40 {
		return fmt.Errorf("%q is not a size such as 128MiB", text)
	}
	*n = int64(parsed)
	if parsed == 0 {
		*n = -1 // to github.Options 0 means its default
	}
	return nil
}

func signature(text string) (*github.Signature, error) {
	address, err := mail.ParseAddress(text)
	if err != nil || address.Name == "" || strings.ContainsFunc(address.Name, unicode.IsControl) {
		return nil, fmt.Errorf("%q is not an author as Name <mail>", text)
	}
	return &github.Signature{Name: address.Name, Email: address.Address}, nil
}
