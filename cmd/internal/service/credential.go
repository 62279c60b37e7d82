package service

import (
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
)

// rereader returns a function that reads the variable's secret again from its file. It
// returns nil for a secret without a file.
func rereader(env Environment) func(name string) func() (string, error) {
	return func(name string) func() (string, error) {
		if strings.TrimSpace(env[name+"_FILE"]) == "" {
			return nil
		}
		return func() (string, error) { return variable{name: name, secret: true}.read(env, readFile) }
	}
}

// credential returns the credential for GitHub. A token or key from a file is read
// again when GitHub refuses it.
func (s *Settings) credential() github.Credential {
	if s.appID == 0 {
		return github.RereadToken(s.token, s.reread("GITHUB_TOKEN"))
	}
	app := github.App{ID: s.appID, PrivateKey: []byte(s.appKey), InstallationID: s.installationID}
	if reread := s.reread("GITHUB_APP_PRIVATE_KEY"); reread != nil {
		app.Reread = func() ([]byte, error) {
			text, err := reread()
			return []byte(text), err
		}
	}
	return app
}
