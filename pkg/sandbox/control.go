package sandbox

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
)

// controlPrefix is where the server takes orders.
const controlPrefix = "/_sandbox/"

// maxOrder bounds the body of an order.
const maxOrder = 16 << 20

// controlRoutes are the orders; doc.go lists them for users.
func (s *Server) controlRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	orders := map[string]func(*http.Request) (any, error){
		"GET requests": func(*http.Request) (any, error) {
			return map[string]any{"counts": s.Counts(), "requests": s.Requests(), "downloads": s.Downloads()}, nil
		},
		"DELETE requests":                      func(*http.Request) (any, error) { s.ResetRequests(); return nil, nil },
		"GET settings":                         func(*http.Request) (any, error) { return s.Settings(), nil },
		"PATCH settings":                       s.orderSettings,
		"GET faults":                           func(*http.Request) (any, error) { return s.Faults(), nil },
		"POST faults":                          s.orderFault,
		"DELETE faults":                        func(*http.Request) (any, error) { s.ClearFaults(); return nil, nil },
		"DELETE faults/{id}":                   s.orderRemove,
		"GET repositories":                     s.orderList,
		"PATCH repositories/{o}/{r}":           s.orderRepository,
		"POST repositories/{o}/{r}/commits":    s.orderPush,
		"GET repositories/{o}/{r}/pulls":       s.orderPulls,
		"PATCH repositories/{o}/{r}/pulls/{n}": s.orderPull,
		"POST tokens":                          s.orderToken,
		"POST reset":                           func(*http.Request) (any, error) { s.Reset(); return nil, nil },
	}
	for pattern, order := range orders {
		method, path, _ := strings.Cut(pattern, " ")
		mux.Handle(method+" "+controlPrefix+path, ordered(order))
	}
	return mux
}

// errNotJSON refuses requests that a foreign web page could send from a browser.
var errNotJSON = errors.New("send application/json")

// ordered responds to a control request with JSON, or with 204 when there is no result.
func ordered(order func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxOrder)
		status, body, err := http.StatusOK, any(nil), checkOrder(r)
		if err == nil {
			body, err = order(r)
		}
		if err != nil {
			status, body = orderStatus(err), map[string]string{"message": err.Error()}
		}
		if body == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		b, err := encodeJSON(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(append(b, '\n'))
	})
}

func checkOrder(r *http.Request) error {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if (r.Method == http.MethodPost || r.Method == http.MethodPatch) && media != "application/json" {
		return errNotJSON
	}
	return nil
}

func orderStatus(err error) int {
	switch {
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, errNotJSON):
		return http.StatusUnsupportedMediaType
	}
	return http.StatusBadRequest
}

func decodeOrder(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func (s *Server) orderSettings(r *http.Request) (any, error) {
	set := s.Settings()
	if err := decodeOrder(r, &set); err != nil {
		return nil, err
	}
	s.Configure(func(to *Settings) { *to = set })
	return set, nil
}

// orderFault takes a Fault whose effect may also be the name of a preset; what
// is given beside it overrides the preset.
func (s *Server) orderFault(r *http.Request) (any, error) {
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		return nil, err
	}
	var named struct {
		Effect string `json:"effect"`
	}
	if err := json.Unmarshal(raw, &named); err != nil {
		return nil, err
	}
	f, ok := presetNamed(named.Effect)
	if !ok {
		return nil, errors.Join(ErrInvalid, errors.New("unknown effect; known are "+presetNames()))
	}
	effect := f.Effect
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	f.Effect = effect
	f.ID = s.Inject(f)
	return f, nil
}

func presetNames() string {
	var names []string
	for _, p := range presets() {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

func (s *Server) orderRemove(r *http.Request) (any, error) {
	if !s.Remove(r.PathValue("id")) {
		return nil, ErrNotFound
	}
	return nil, nil
}

type repositoryOrder struct {
	Name       string                 `json:"name"`
	Dir        string                 `json:"dir"`
	Private    bool                   `json:"private"`
	Archived   bool                   `json:"archived"`
	Default    string                 `json:"default_branch"`
	Protection map[string]*Protection `json:"protection"` // by branch; null takes it away

	DeleteBranchOnMerge bool `json:"delete_branch_on_merge"`
}

func (r *Repository) order() repositoryOrder {
	r.mu.RLock()
	defer r.mu.RUnlock()
	o := repositoryOrder{Name: r.name, Dir: r.git.Dir(), Private: r.private, Archived: r.archived, Default: r.branch, Protection: map[string]*Protection{}}
	for branch, p := range r.rules {
		o.Protection[branch] = &p
	}
	o.DeleteBranchOnMerge = r.deletesBranches()
	return o
}

func (s *Server) orderList(*http.Request) (any, error) {
	list := []repositoryOrder{}
	for _, r := range s.Repositories() {
		list = append(list, r.order())
	}
	return list, nil
}

func (s *Server) orderRepository(r *http.Request) (any, error) {
	repo, err := s.Repository(r.PathValue("o") + "/" + r.PathValue("r"))
	if err != nil {
		return nil, err
	}
	o := repo.order()
	if err := decodeOrder(r, &o); err != nil {
		return nil, err
	}
	if o.Name != repo.Name() {
		if err := s.Rename(repo.Name(), o.Name); err != nil {
			return nil, err
		}
	}
	if o.Default != repo.defaultBranch() {
		if err := repo.SetDefaultBranch(o.Default); err != nil {
			return nil, err
		}
	}
	repo.SetPrivate(o.Private)
	repo.SetDeleteBranchOnMerge(o.DeleteBranchOnMerge)
	repo.SetArchived(o.Archived)
	for branch, p := range o.Protection {
		if p == nil {
			repo.Unprotect(branch)
		} else {
			repo.Protect(branch, *p)
		}
	}
	return repo.order(), nil
}

func (s *Server) orderPush(r *http.Request) (any, error) {
	repo, err := s.Repository(r.PathValue("o") + "/" + r.PathValue("r"))
	if err != nil {
		return nil, err
	}
	var p Push
	if err := decodeOrder(r, &p); err != nil {
		return nil, err
	}
	if p.Branch == "" {
		p.Branch = repo.defaultBranch()
	}
	sha, err := repo.Commit(p.Branch, p.files(), p.Message)
	return map[string]string{"sha": sha}, err
}

func (s *Server) orderToken(r *http.Request) (any, error) {
	var o struct {
		Secret string `json:"secret"`
		Token
	}
	if err := decodeOrder(r, &o); err != nil {
		return nil, err
	}
	if o.Secret == "" {
		return nil, errors.Join(ErrInvalid, errors.New("a token needs its secret"))
	}
	s.AddToken(o.Secret, o.Token)
	return nil, nil
}
