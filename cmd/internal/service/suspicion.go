package service

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/config"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

const (
	// placeholder is the secret of the examples.
	placeholder = "replace-me"
	// minSecret is how many bytes a secret of a caller or a sender should have: a
	// shorter one can be guessed over the network.
	minSecret = 16
	// misspelling is the largest edit distance between a variable and a misspelling of
	// it; for a short name it is one, since AUTH and PATH are two apart.
	misspelling = 2
	shortName   = 8
)

func (s *Settings) warn(variable, detail string) {
	s.Warnings = append(s.Warnings, Warning{Variable: variable, Detail: detail})
}

// checkSecrets refuses a secret that two callers share, or a caller and a webhook or
// GitHub: whoever has it could act as the other. It warns of short secrets.
func (s *Settings) checkSecrets() error {
	for _, name := range s.Secrets.Shorter(minSecret) {
		s.warnWeak("API_TOKENS", fmt.Sprintf("the secret of %s has less than %d characters; the next major version refuses it", name, minSecret))
	}
	if _, taken := s.Secrets.Holder(s.token); s.token != "" && taken {
		return errors.New("API_TOKENS: a caller's secret is GITHUB_TOKEN itself; make one of its own, such as with openssl rand -hex 32")
	}
	if name, taken := s.Trust.Callers.Holder(s.token); s.token != "" && taken {
		return fmt.Errorf("CONFIG_FILE: the secret of the caller %s is GITHUB_TOKEN itself; make one of its own, such as with openssl rand -hex 32", name)
	}
	senders := map[[sha256.Size]byte]string{}
	for _, w := range s.Webhooks {
		for _, secret := range w.Secrets {
			if err := s.checkSender(w, secret, senders); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkCallers refuses the placeholder of the examples as a secret of the file's callers,
// and warns of short ones.
func (s *Settings) checkCallers(callers []config.Caller) error {
	for _, c := range callers {
		for _, token := range c.Tokens {
			text := token.Secret.Reveal()
			if strings.Contains(text, placeholder) {
				return fmt.Errorf("the secret of the caller %s is still %s, the placeholder of the examples", c.Name, placeholder)
			}
			if token.SHA256 == "" && len(text) < minSecret {
				s.warnWeak("CONFIG_FILE", fmt.Sprintf("the secret of the caller %s has less than %d characters; the next major version refuses it", c.Name, minSecret))
			}
		}
	}
	return nil
}

func (s *Settings) checkSender(w config.Webhook, secret config.Secret, senders map[[sha256.Size]byte]string) error {
	text := secret.Reveal()
	where := "CONFIG_FILE"
	if s.secrets[webhook.Kind(w.Name)] != "" {
		where = webhookVariable(webhook.Kind(w.Name), "SECRET")
	}
	if text == placeholder {
		return fmt.Errorf("%s: the secret of webhook %s is still %s, the placeholder of the examples", where, w.Name, placeholder)
	}
	if name, taken := s.Trust.Callers.Holder(text); taken {
		return fmt.Errorf("%s: the secret of webhook %s is that of the caller %s as well; give each its own", where, w.Name, name)
	}
	sum := sha256.Sum256([]byte(text))
	if other := senders[sum]; other != "" && other != w.Name {
		s.warnWeak(where, fmt.Sprintf("the webhooks %s and %s share a secret; who has one can send as the other", other, w.Name))
	}
	senders[sum] = w.Name
	if len(text) < minSecret {
		s.warnWeak(where, fmt.Sprintf("the secret of webhook %s has less than %d characters; the next major version refuses it", w.Name, minSecret))
	}
	return nil
}

func (s *Settings) warnWeak(variable, detail string) {
	s.Warnings = append(s.Warnings, Warning{Variable: variable, Detail: detail, weak: true})
}

var (
	// ofWebhook matches a variable of the webhook source of a kind.
	ofWebhook = regexp.MustCompile(`^WEBHOOK_(.+)_(?:SECRET|REGISTRY|IMAGES)(?:_FILE)?$`)
	// ofKubernetes matches variables that Kubernetes sets for each Service, such as
	// VERSIONS_SERVICE_PORT_80_TCP_ADDR.
	ofKubernetes = regexp.MustCompile(`(?:^KUBERNETES_.*|_SERVICE_HOST|_PORT|_SERVICE_PORT(?:_.+)?|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$`)
)

// ofGitHub are the variables of GitHub Actions that are as close to ours as a
// misspelling, or nearly so.
func ofGitHub() []string {
	return []string{
		"GITHUB_ACTION", "GITHUB_ACTIONS", "GITHUB_ACTION_PATH", "GITHUB_ACTION_REF", "GITHUB_ACTION_REPOSITORY", "GITHUB_ACTOR",
		"GITHUB_ACTOR_ID", "GITHUB_BASE_REF", "GITHUB_ENV", "GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_GRAPHQL_URL",
		"GITHUB_HEAD_REF", "GITHUB_JOB", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_REF", "GITHUB_REF_NAME", "GITHUB_REF_PROTECTED",
		"GITHUB_REF_TYPE", "GITHUB_REPOSITORY_ID", "GITHUB_REPOSITORY_OWNER", "GITHUB_REPOSITORY_OWNER_ID", "GITHUB_RETENTION_DAYS",
		"GITHUB_RUN_ATTEMPT", "GITHUB_RUN_ID", "GITHUB_RUN_NUMBER", "GITHUB_SERVER_URL", "GITHUB_SHA", "GITHUB_STATE",
		"GITHUB_STEP_SUMMARY", "GITHUB_TRIGGERING_ACTOR", "GITHUB_WORKFLOW", "GITHUB_WORKFLOW_REF", "GITHUB_WORKFLOW_SHA", "GITHUB_WORKSPACE",
	}
}

// checkNames warns of variables whose names are probably misspelt, and refuses those
// of an unknown kind of webhook. named are the variables that CONFIG_FILE names.
func (s *Settings) checkNames(env Environment, named []string) error {
	ours := Variables()
	foreign := slices.Concat(ours, named, ofGitHub())
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if strings.TrimSpace(env[name]) == "" || slices.Contains(foreign, name) || ofKubernetes.MatchString(name) {
			continue
		}
		if m := ofWebhook.FindStringSubmatch(name); m != nil {
			return fmt.Errorf("%s: %s", name, unknownKind(strings.ToLower(m[1])))
		}
		if meant := nearest(name, ours); meant != "" {
			s.warn(name, "is not read; did you mean "+meant+"?")
		}
	}
	return nil
}

func unknownKind(kind string) string {
	if slices.Contains(webhook.Kinds(), webhook.Kind(kind)) {
		return fmt.Sprintf("a webhook of the kind %s needs more than a secret; name the source in CONFIG_FILE", kind)
	}
	var known []string
	for _, k := range webhook.SwitchedOnBySecret() {
		known = append(known, string(k))
	}
	return fmt.Sprintf("there is no webhook of the kind %s; a secret alone switches on %s", kind, strings.Join(known, ", "))
}

// nearest returns the variable that a misspelt name probably means, or "".
func nearest(name string, known []string) string {
	best, meant := misspelling+1, ""
	for _, k := range known {
		most := misspelling
		if len(k) < shortName {
			most = 1
		}
		if d := edits(strings.ToUpper(name), k); d <= most && d < best {
			best, meant = d, k
		}
	}
	return meant
}

// edits returns the edit distance of a and b, with swapped neighbours as one edit. It
// returns more than misspelling, uncounted, if their lengths differ by more.
func edits(a, b string) int {
	if d := len(a) - len(b); d > misspelling || -d > misspelling {
		return misspelling + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			changed := last[j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			row[j] = min(last[j]+1, row[j-1]+1, changed)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
