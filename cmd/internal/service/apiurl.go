package service

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// enterprisePath is where an Enterprise Server has its REST API.
const enterprisePath = "/api/v3/"

// checkAPIURL refuses URLs that cannot be GitHub's API, and suggests the right one. It
// warns of URLs that are no known API of GitHub.
func (s *Settings) checkAPIURL() error {
	u, err := url.Parse(s.APIURL)
	if err != nil {
		return err
	}
	host := strings.ToLower(u.Hostname())
	dataResidency := strings.HasSuffix(host, ".ghe.com")
	path := strings.TrimSuffix(u.Path, "/")
	switch {
	case host == "github.com", host == "www.github.com":
		return fmt.Errorf("%s is where people read; set it to %s", host, github.DefaultBaseURL)
	case dataResidency && !strings.HasPrefix(host, "api."):
		return fmt.Errorf("%s is where people read; set it to https://api.%s/", host, host)
	case (host == "api.github.com" || dataResidency) && (u.Scheme != "https" || path != ""):
		return fmt.Errorf("set it to https://%s/", host)
	case u.Scheme == "http" && !loopback(host) && !s.insecureAPI:
		return errors.New("http:// sends the credential in clear text; use https://, or set GITHUB_API_INSECURE=true if that is meant")
	case u.Scheme == "https" && !loopback(host) && host != "api.github.com" && !dataResidency && path != strings.TrimSuffix(enterprisePath, "/"):
		s.warn("GITHUB_API_URL", fmt.Sprintf("an Enterprise Server has its API at https://%s%s", u.Host, enterprisePath))
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
