package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

// Latency waits before the request is served.
func Latency(d time.Duration) Fault { return Fault{Effect: EffectLatency, Delay: Duration(d)} }

// BadGateway answers 502 with an HTML page; nothing was done.
func BadGateway() Fault { return Fault{Effect: EffectBadGateway} }

// BadGatewayAfter answers 502 with an HTML page although the operation was done.
func BadGatewayAfter() Fault { return Fault{Effect: EffectBadGatewayAfter} }

// Drop ends the connection; nothing was done.
func Drop() Fault { return Fault{Effect: EffectDrop} }

// DropAfter ends the connection after the operation was done.
func DropAfter() Fault { return Fault{Effect: EffectDropAfter} }

// Silence never answers; nothing was done.
func Silence() Fault { return Fault{Effect: EffectSilence} }

// SilenceAfter never answers although the operation was done.
func SilenceAfter() Fault { return Fault{Effect: EffectSilenceAfter} }

// Cut ends the connection in the middle of the answer's body.
func Cut() Fault { return Fault{Effect: EffectCut} }

// Call runs f right before the operation, such as to push to the branch.
func Call(f func()) Fault { return Fault{Effect: EffectCall, Do: f} }

// Competitor pushes to the branch right before the operation.
func Competitor(p Push) Fault { return Fault{Effect: EffectPush, Push: &p} }

// Flooded answers with far more than any answer of GitHub's.
func Flooded(f Flood) Fault { return Fault{Effect: EffectFlood, Flood: &f} }

// Tampered changes answers: change gets the request and the body. A Status that is
// set takes the place of the answer's.
func Tampered(change func(r *http.Request, body []byte) []byte) Fault {
	return Fault{Effect: EffectTamper, Tamper: change}
}

// Proxy answers status with a page that is not GitHub's, as a proxy between does.
func Proxy(status int) Fault { return Fault{Effect: EffectProxy, Status: status} }

// LockedBranch is the refusal of a branch that nobody may push to.
func LockedBranch() Fault {
	f := Refuse(http.StatusUnprocessableEntity, lockedText).On(http.MethodPatch, "git/refs")
	f.Documentation = classicDoc
	return f
}

// SecretDetected is the refusal of push protection, which found a secret in the
// new content.
func SecretDetected() Fault {
	f := Refuse(http.StatusUnprocessableEntity, secretText).On(http.MethodPatch, "git/refs")
	f.Documentation = rulesetDoc
	return f
}

// Stale makes references show what they were before their last write.
func Stale() Fault { return Fault{Effect: EffectStale} }

// PrimaryLimit answers with status (403 or 429) that the hour's budget is
// used up until reset from now.
func PrimaryLimit(status int, reset time.Duration) Fault {
	return Fault{Effect: EffectPrimaryLimit, Status: status, Delay: Duration(reset)}
}

// SecondaryLimit answers with status (403 or 429), and Retry-After unless it
// is 0.
func SecondaryLimit(status int, retryAfter time.Duration) Fault {
	return Fault{Effect: EffectSecondaryLimit, Status: status, Delay: Duration(retryAfter)}
}

// Refuse answers status and message, in the shape of every error.
func Refuse(status int, message string) Fault {
	return Fault{Effect: EffectRefuse, Status: status, Message: message}
}

// LostRace is GitHub's answer to two updates of one reference at one time.
func LostRace() Fault {
	return Refuse(http.StatusUnprocessableEntity, "Reference cannot be updated").On(http.MethodPatch, "git/refs")
}

// TreeNotReplicated is what POST git/commits may say right after a good POST
// git/trees.
func TreeNotReplicated() Fault {
	return Refuse(http.StatusUnprocessableEntity, "Tree SHA does not exist").On(http.MethodPost, "git/commits")
}

// TreeTimeout is what POST git/trees says to too much at once.
func TreeTimeout() Fault {
	return Refuse(http.StatusUnprocessableEntity, treeTimeoutText).On(http.MethodPost, "git/trees")
}

// BadCredentials is the answer to an unknown or expired token.
func BadCredentials() Fault {
	f := Refuse(http.StatusUnauthorized, "Bad credentials")
	f.Documentation = docsRoot
	return f
}

// MissingPermission is the answer to a fine-grained token without a
// permission, such as contents=write.
func MissingPermission(permission string) Fault {
	f := Refuse(http.StatusForbidden, "Resource not accessible by personal access token")
	f.Header = map[string]string{"X-Accepted-GitHub-Permissions": permission}
	return f
}

// NotVisible is the answer for a repository that the caller may not see.
func NotVisible() Fault { return Refuse(http.StatusNotFound, "Not Found") }

// EmptyRepository is the answer of a repository without commits.
func EmptyRepository() Fault {
	return Refuse(http.StatusConflict, "Git Repository is empty.").On("", "/git/")
}

// preset is a fault that the management endpoint knows by name.
type preset struct {
	name  string
	fault Fault
}

// presets lists each effect and each ready-made refusal by name.
func presets() []preset {
	refusals := []preset{
		{"lost_race", LostRace()},
		{"not_fast_forward", Refuse(http.StatusUnprocessableEntity, "Update is not a fast forward").On(http.MethodPatch, "git/refs")},
		{"update_failed", Refuse(http.StatusUnprocessableEntity, "Reference update failed").On(http.MethodPatch, "git/refs")},
		{"no_reference", Refuse(http.StatusUnprocessableEntity, "Reference does not exist").On(http.MethodPatch, "git/refs")},
		{"tree_not_replicated", TreeNotReplicated()},
		{"tree_timeout", TreeTimeout()},
		{"bad_credentials", BadCredentials()},
		{"missing_permission", MissingPermission("contents=write")},
		{"not_visible", NotVisible()},
		{"empty_repository", EmptyRepository()},
		{"archived", Refuse(http.StatusForbidden, "Repository was archived so is read-only.")},
		{"branch_protected", protectedFault(Protection{})},
		{"ruleset", protectedFault(Protection{Ruleset: true})},
		{"locked_branch", LockedBranch()},
		{"secret_detected", SecretDetected()},
		{"bare_error_string", bareErrorString()},
	}
	for _, e := range []Effect{
		EffectLatency, EffectBadGateway, EffectBadGatewayAfter, EffectDrop, EffectDropAfter,
		EffectSilence, EffectSilenceAfter, EffectCut, EffectRefuse, EffectPrimaryLimit, EffectSecondaryLimit, EffectPush, EffectStale, EffectFlood, EffectProxy,
	} {
		refusals = append(refusals, preset{string(e), Fault{Effect: e}})
	}
	return refusals
}

func presetNamed(name string) (Fault, bool) {
	all := presets()
	i := slices.IndexFunc(all, func(p preset) bool { return p.name == name })
	if i < 0 {
		return Fault{}, false
	}
	return all[i].fault, true
}

func protectedFault(p Protection) Fault {
	r := p.refusal()
	f := Refuse(r.status, r.message).On(http.MethodPatch, "git/refs")
	f.Documentation = r.doc
	return f
}

// bareErrorString is the form of "errors" that many clients stumble over.
func bareErrorString() Fault {
	f := Refuse(http.StatusUnprocessableEntity, "Validation Failed")
	f.Errors = json.RawMessage(`"Validation failed: the embedded GitHub was told to say so"`)
	return f
}

// badGatewayPage is a page where clients expect JSON.
const badGatewayPage = `<!DOCTYPE html>
<html>
  <head><title>502 Bad Gateway</title></head>
  <body><p>The embedded GitHub was told to fail.</p></body>
</html>
`

// proxyPage is a page of somebody between GitHub and the caller.
const proxyPage = `<!DOCTYPE html>
<html>
  <head><title>Proxy</title></head>
  <body><p>The embedded GitHub was told to answer as a proxy would.</p></body>
</html>
`

func badGateway() *refusal {
	return &refusal{status: http.StatusBadGateway, message: "Bad Gateway", html: badGatewayPage}
}
