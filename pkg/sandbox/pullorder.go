package sandbox

import (
	"fmt"
	"net/http"
	"strconv"
)

// pullOrder is what a person does to a pull request.
type pullOrder struct {
	State   string `json:"state"`   // open or closed
	Merge   string `json:"merge"`   // merge, squash or rebase, past every rule
	Approve string `json:"approve"` // by this login
}

func (s *Server) orderPulls(r *http.Request) (any, error) {
	repo, err := s.Repository(r.PathValue("o") + "/" + r.PathValue("r"))
	if err != nil {
		return nil, err
	}
	return repo.PullRequests(), nil
}

func (s *Server) orderPull(r *http.Request) (any, error) {
	repo, err := s.Repository(r.PathValue("o") + "/" + r.PathValue("r"))
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		return nil, fmt.Errorf("pull request %q: %w", r.PathValue("n"), ErrNotFound)
	}
	var o pullOrder
	if err := decodeOrder(r, &o); err != nil {
		return nil, err
	}
	if err := repo.obey(number, o); err != nil {
		return nil, err
	}
	return repo.PullRequest(number)
}

func (r *Repository) obey(number int, o pullOrder) error {
	switch o.State {
	case "":
	case pullOpen:
		if err := r.ReopenPullRequest(number); err != nil {
			return err
		}
	case pullClosed:
		if err := r.ClosePullRequest(number); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%w state %q", ErrInvalid, o.State)
	}
	if o.Approve != "" {
		if err := r.Approve(number, o.Approve); err != nil {
			return err
		}
	}
	if o.Merge == "" {
		return nil
	}
	return r.MergePullRequest(number, o.Merge)
}
