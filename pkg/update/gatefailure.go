package update

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/policy"
)

// FrozenError reports that a target is frozen. Nothing was written.
type FrozenError struct {
	Target string // its place
	policy.Frozen
	// Wait is the time until the end; meaningless without one.
	Wait time.Duration
}

// Error is a sentence for the caller.
func (e *FrozenError) Error() string {
	until := ""
	if !e.Until.IsZero() {
		until = " until " + e.Until.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s is frozen%s: %s", e.Target, until, e.Reason)
}

// DeniedError reports that a target, or a rule, does not take a version.
type DeniedError struct {
	Image   string
	ID      string // the target's
	Target  string // its place
	Rule    string // "" for the target's own keys
	Reasons []string

	watched bool // the rule is only watched
}

// Error is a sentence for the caller.
func (e *DeniedError) Error() string {
	by := "the target"
	if e.Rule != "" {
		by = "the rule " + e.Rule
	}
	return fmt.Sprintf("%s on %s: %s refuses it: %s", e.Image, e.Target, by, strings.Join(e.Reasons, "; "))
}

// ImageNotFoundError reports that a registry does not have a version, or has it with
// another digest. Nothing was written.
type ImageNotFoundError struct {
	Image, Version, Registry string
	// Digest is the request's, and Has the registry's; "" for a version that is not there.
	Digest, Has string
}

// Error is a sentence for the caller.
func (e *ImageNotFoundError) Error() string {
	if e.Has != "" {
		return fmt.Sprintf("the registry %s has %s:%s with the digest %s, and not with %s", e.Registry, e.Image, e.Version, e.Has, e.Digest)
	}
	return fmt.Sprintf("the registry %s has no %s:%s; push the image first", e.Registry, e.Image, e.Version)
}

// DigestUnknownError reports that a target pins digests, and that neither the request nor a
// registry told the one of a version. Nothing was written.
type DigestUnknownError struct {
	Image, Version string
	Target         string // its place
	// Path and Line are those of the first reference that it would pin.
	Path string
	Line int
}

// Error is a sentence for the caller.
func (e *DigestUnknownError) Error() string {
	return fmt.Sprintf("%s pins digests, and that of %s:%s is not known, for %s:%d; send it as digest, or let the target take it from the registry (check: digest)",
		e.Target, e.Image, e.Version, e.Path, e.Line)
}

// RegistryError reports that a registry did not answer. Nothing was written.
type RegistryError struct {
	Code   Code
	Detail string // a sentence for the caller
	// RetryAfter is how long to wait; zero when that is not known.
	RetryAfter time.Duration
	Err        error
}

// Error is for the log.
func (e *RegistryError) Error() string {
	if e.Err == nil {
		return e.Detail
	}
	return e.Detail + ": " + errors.Unwrap(e.Err).Error()
}

// Unwrap returns the cause.
func (e *RegistryError) Unwrap() error { return e.Err }

// gateFailure is the part of the table of failures for a target's gate.
func gateFailure(err error) (Failure, bool) {
	var (
		frozen *FrozenError
		denied *DeniedError
		absent *ImageNotFoundError
		away   *RegistryError

		unpinned *DigestUnknownError
	)
	switch {
	case errors.As(err, &frozen):
		f := Failure{Code: CodeTargetFrozen, Detail: frozen.Error() + "; nothing was written", NotBefore: frozen.Until}
		if !frozen.Until.IsZero() {
			f.RetryAfter = max(frozen.Wait, time.Second)
		}
		return f, true
	case errors.As(err, &denied):
		return Failure{Code: CodePolicyDenied, Detail: denied.Error(), Rule: denied.Rule, Reasons: denied.Reasons}, true
	case errors.As(err, &absent):
		return Failure{Code: CodeImageNotFound, Detail: absent.Error()}, true
	case errors.As(err, &unpinned):
		return Failure{Code: CodeDigestUnknown, Detail: unpinned.Error()}, true
	case errors.As(err, &away):
		return Failure{Code: away.Code, Detail: away.Detail + "; nothing was written, send the request again", RetryAfter: away.RetryAfter}, true
	}
	return Failure{}, false
}
