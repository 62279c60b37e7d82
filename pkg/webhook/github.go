package webhook

import "strings"

// GitHub's events of a target's repository: they say where to look, and move no image.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
// A push event comes for a branch that is made, moved, set back or deleted.

// Hint says where something has changed. It is no truth: who gets one looks.
type Hint struct {
	Repository string // owner/name
	// Branch is the one that the event is about: of a pull request, of checks, or pushed
	// to.
	Branch string
	// Pushed reports a push to the branch, of any kind: it may have been deleted.
	Pushed bool
}

type githubBody struct {
	Ref         string `json:"ref"`
	PullRequest *struct {
		Head struct {
			Ref string `json:"ref"`
		} `json:"head"`
	} `json:"pull_request"`
	CheckSuite *struct {
		HeadBranch string `json:"head_branch"`
	} `json:"check_suite"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

// The bounds of names in a hint, in bytes.
const (
	maxHintRepository = 200
	maxHintBranch     = 255
)

func readGitHub(r Request, content []byte) (reading, error) {
	var body githubBody
	if err := decode(content, &body); err != nil {
		return reading{}, err
	}
	h := Hint{Repository: body.Repository.FullName}
	switch event := r.Header.Get("X-GitHub-Event"); {
	case event == "pull_request" && body.PullRequest != nil:
		h.Branch = body.PullRequest.Head.Ref
	case event == "check_suite" && body.CheckSuite != nil:
		h.Branch = body.CheckSuite.HeadBranch
	case event == "push":
		if h.Branch, h.Pushed = strings.CutPrefix(body.Ref, "refs/heads/"); !h.Pushed {
			return ignored("the push is not to a branch"), nil
		}
	default:
		return ignored("the event " + quote(event) + " is none of pull_request, check_suite and push"), nil
	}
	if h.Repository == "" || h.Branch == "" || len(h.Repository) > maxHintRepository || len(h.Branch) > maxHintBranch {
		return ignored("the payload names no repository and branch"), nil
	}
	return reading{hint: &h, ignored: "it moves no image"}, nil
}
