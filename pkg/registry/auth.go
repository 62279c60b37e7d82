package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// MaxAuthSize bounds a file of credentials in bytes.
const MaxAuthSize = 1 << 20

// auths are the credentials of a Docker config.json by host, or by the beginning of an
// image's name.
type auths map[string]authn.AuthConfig

// CheckAuth returns why a Docker config.json cannot be used, or nil.
func CheckAuth(content []byte) error {
	_, err := parseAuths(content)
	return err
}

// parseAuths reads the auths of a Docker config.json. The error has nothing of the
// content.
func parseAuths(content []byte) (auths, error) {
	if len(content) == 0 {
		return nil, nil
	}
	if len(content) > MaxAuthSize {
		return nil, fmt.Errorf("has more than %d bytes", MaxAuthSize)
	}
	var file struct {
		Auths       map[string]json.RawMessage `json:"auths"`
		CredsStore  string                     `json:"credsStore"`
		CredHelpers map[string]string          `json:"credHelpers"`
	}
	if json.Unmarshal(content, &file) != nil {
		return nil, errors.New("is no Docker config.json")
	}
	if len(file.Auths) == 0 && (file.CredsStore != "" || len(file.CredHelpers) > 0) {
		return nil, errors.New("has no auths: the programs of credsStore and credHelpers are not run")
	}
	all := make(auths, len(file.Auths))
	for key, text := range file.Auths {
		var one authn.AuthConfig
		if json.Unmarshal(text, &one) != nil {
			return nil, fmt.Errorf("has an entry of auths, %q, that is not user:password in base64", key)
		}
		all[hostOf(key)] = one
	}
	return all, nil
}

// hostOf returns the key of an entry as normalised names spell it:
// https://index.docker.io/v1/ is docker.io.
func hostOf(key string) string {
	for _, scheme := range []string{"https://", "http://"} {
		key = strings.TrimPrefix(key, scheme)
	}
	key = strings.TrimSuffix(key, "/")
	for _, version := range []string{"/v1", "/v2"} {
		key = strings.TrimSuffix(key, version)
	}
	host, path, found := strings.Cut(key, "/")
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		host = "docker.io"
	}
	if found {
		return host + "/" + path
	}
	return host
}

// of returns the credentials for an image: those of the longest beginning of its name.
func (a auths) of(repository image.Repository) authn.Authenticator {
	for name := repository.Name(); name != ""; {
		if one, ok := a[name]; ok {
			return authn.FromConfig(one)
		}
		name = name[:max(strings.LastIndexByte(name, '/'), 0)]
	}
	return authn.Anonymous
}
