package service

import (
	"slices"
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
	app := github.App{ID: s.appID, PrivateKey: []byte(s.appKey), InstallationID: s.installation()}
	if reread := s.reread("GITHUB_APP_PRIVATE_KEY"); reread != nil {
		app.Reread = func() ([]byte, error) {
			text, err := reread()
			return []byte(text), err
		}
	}
	return app
}

// installation returns the App's installation for every target, 0 if it is looked up:
// an installation is one owner's.
func (s *Settings) installation() int64 {
	if len(s.owners()) > 1 {
		return 0
	}
	return s.installationID
}

// owners returns the owners of the targets' repositories.
func (s *Settings) owners() []string {
	var owners []string
	for _, t := range s.Targets {
		owner, _, _ := strings.Cut(strings.ToLower(t.Repository), "/")
		if !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	return owners
}
