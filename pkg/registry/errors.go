package registry

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/guard"
)

// Kind is a reason for which a question has no answer.
type Kind int

// The kinds.
const (
	// Away: the registry failed, answered nonsense, or could not be reached.
	Away Kind = iota
	// Refused: the registry refused the credentials, or wants some.
	Refused
	// Limited: the registry takes no more questions for a while.
	Limited
	// Private: the registry, or where it sent the client, has an address that is not
	// public and is none of Options.Hosts.
	Private
	// Plain: the registry is none of the insecure hosts and was to be asked by http://.
	Plain
)

// Error reports that a registry did not answer a question.
type Error struct {
	// Host is the registry's, with its port.
	Host string
	Kind Kind
	// Status is the HTTP status of the registry's answer; 0 for none.
	Status int
	// Err is the cause. Its text is for the log alone.
	Err error
}

// Error is a sentence for the caller. It has nothing of the cause.
func (e *Error) Error() string {
	switch e.Kind {
	case Refused:
		return fmt.Sprintf("the registry %s refused the question (status %d); REGISTRY_AUTH_FILE has its credentials", e.Host, e.Status)
	case Limited:
		return fmt.Sprintf("the registry %s takes no more questions for a while (status %d)", e.Host, e.Status)
	case Private:
		return fmt.Sprintf("the registry %s, or a host that it refers to, has an address that is not public; registries in CONFIG_FILE lists the hosts that may have one", e.Host)
	case Plain:
		return fmt.Sprintf("the registry %s, or a host that it refers to, is to be asked by http://; registries in CONFIG_FILE lists it with insecure: true if that is meant", e.Host)
	case Away:
	}
	if e.Status > 0 {
		return fmt.Sprintf("the registry %s failed (status %d)", e.Host, e.Status)
	}
	return fmt.Sprintf("the registry %s does not answer", e.Host)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// errMany is a fact about a request that ended it, beside those of package guard.
var errMany = errors.New("the registry caused too many requests")

// asError returns the *Error for the cause.
func asError(host string, cause error) *Error {
	e := &Error{Host: host, Kind: Away, Err: cause}
	var answer *transport.Error
	switch {
	case errors.Is(cause, guard.ErrPrivate):
		e.Kind = Private
	case errors.Is(cause, guard.ErrPlain):
		e.Kind = Plain
	case errors.As(cause, &answer):
		e.Status = answer.StatusCode
		switch e.Status {
		case http.StatusUnauthorized, http.StatusForbidden:
			e.Kind = Refused
		case http.StatusTooManyRequests:
			e.Kind = Limited
		}
	}
	return e
}
