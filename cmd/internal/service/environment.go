package service

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/refty-yapi/refty-node-versions-service/pkg/caller"
)

// Environment holds variables by their names.
type Environment map[string]string

// ParseEnvironment reads what os.Environ returns.
func ParseEnvironment(environ []string) Environment {
	e := make(Environment, len(environ))
	for _, setting := range environ {
		name, value, _ := strings.Cut(setting, "=")
		e[name] = value
	}
	return e
}

// variable is one variable of the environment.
type variable struct {
	name     string
	fallback string // applied when the variable is empty; shown by --help
	help     string
	secret   bool // may be in a file that NAME_FILE names
	set      func(*Settings, string) error
}

// variables are all that the program reads.
func variables() []variable {
	return slices.Concat(githubVariables(), serviceVariables(), webhookVariables(), tracingVariables())
}

// Variables returns the names of all variables that the program reads, including
// those that name a secret's file.
func Variables() []string {
	var names []string
	for _, v := range variables() {
		names = append(names, v.name)
		if v.secret {
			names = append(names, v.name+"_FILE")
		}
	}
	return names
}

// ReadEnvironment reads and checks every variable. The error is one line that
// begins with a variable's name and holds no secret.
func ReadEnvironment(env Environment) (Settings, error) { return readEnvironment(env, nil) }

// readEnvironment is ReadEnvironment, whose callers take over the issuers of before.
func readEnvironment(env Environment, before *caller.Callers) (Settings, error) {
	s := Settings{reread: rereader(env), env: env, files: files{}}
	for _, v := range variables() {
		text, err := v.read(env, s.files.read)
		if err != nil {
			return s, err
		}
		if text == "" {
			continue
		}
		if err := v.set(&s, text); err != nil {
			return s, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	if err := s.check(); err != nil {
		return s, err
	}
	named, err := s.configure(env, before)
	if err != nil {
		return s, err
	}
	s.Credential = s.credential()
	if s.installationID != 0 && s.installation() == 0 {
		s.warn("GITHUB_APP_INSTALLATION_ID", "is not used: the targets have several owners, and the installation of each is looked up")
	}
	if err := s.checkSecrets(); err != nil {
		return s, err
	}
	return s, s.checkNames(env, named)
}

// read returns the variable's text, or the content of the file that NAME_FILE names. As
// in systemd, a file may be absent if a hyphen precedes its path.
func (v variable) read(env Environment, readFile func(string) ([]byte, error)) (string, error) {
	text := strings.TrimSpace(env[v.name])
	if v.secret {
		fileVariable := v.name + "_FILE"
		path := strings.TrimSpace(env[fileVariable])
		switch {
		case path == "":
		case text != "":
			return "", fmt.Errorf("%s: unset it or %s; only one of them may hold the secret", v.name, fileVariable)
		default:
			path, optional := strings.CutPrefix(path, "-")
			content, err := readFile(path)
			if optional && errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return "", fmt.Errorf("%s: %w", fileVariable, err)
			}
			if text = strings.TrimSpace(string(content)); text == "" {
				return "", fmt.Errorf("%s: %s is empty", fileVariable, path)
			}
		}
		if strings.Contains(text, placeholder) {
			return "", fmt.Errorf("%s: it still holds %s, the placeholder of the examples", v.name, placeholder)
		}
	}
	if text == "" {
		text = v.fallback
	}
	return text, nil
}

// writeVariables prints the table of variables.
func writeVariables(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range variables() {
		fallback := v.fallback
		if fallback == "" {
			fallback = "-"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", v.name, fallback, v.help)
	}
	_ = table.Flush()
}
