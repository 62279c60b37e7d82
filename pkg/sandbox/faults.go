package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Effect is what a fault does to the requests it strikes.
type Effect string

// The effects. Those named After let the operation happen first: the caller
// cannot know.
const (
	EffectLatency         Effect = "latency"           // wait Delay
	EffectBadGateway      Effect = "bad_gateway"       // 502 with an HTML page, nothing was done
	EffectBadGatewayAfter Effect = "bad_gateway_after" // 502 with an HTML page, all was done
	EffectDrop            Effect = "drop"              // the connection ends, nothing was done
	EffectDropAfter       Effect = "drop_after"        // the connection ends, all was done
	EffectSilence         Effect = "silence"           // no answer until the caller gives up, nothing was done
	EffectSilenceAfter    Effect = "silence_after"     // no answer until the caller gives up, all was done
	EffectCut             Effect = "cut"               // the connection ends in the middle of the answer's body
	EffectRefuse          Effect = "refuse"            // answer Status, Message, Errors, Documentation, Header
	EffectPrimaryLimit    Effect = "primary_limit"     // remaining 0, reset after Delay
	EffectSecondaryLimit  Effect = "secondary_limit"   // Retry-After Delay, or none when it is 0
	EffectPush            Effect = "push"              // somebody pushes Push before the operation
	EffectCall            Effect = "call"              // Do is called before the operation
	EffectStale           Effect = "stale"             // references show what they were before their last write
	EffectFlood           Effect = "flood"             // answer Flood in place of the operation
	EffectTamper          Effect = "tamper"            // Tamper changes the answer after the operation
	EffectProxy           Effect = "proxy"             // a proxy answers Status with a page of its own, nothing was done
)

// Fault strikes some requests. Its first four fields choose which; the zero
// value of each chooses all. Build one with a function of this package, such
// as [LostRace], and narrow it with its methods:
//
//	sb.Inject(sandbox.LostRace().On("PATCH", "git/refs").Once())
type Fault struct {
	// ID is given by Inject.
	ID     string `json:"id,omitempty"`
	Effect Effect `json:"effect"`

	Method string `json:"method,omitempty"`
	// Endpoint is any part of the operation's path as GitHub documents it,
	// such as git/trees or /branches/{branch}.
	Endpoint   string `json:"endpoint,omitempty"`
	Repository string `json:"repository,omitempty"`
	Token      string `json:"token,omitempty"` // by name

	// Skip lets the first matching requests pass, Times ends the fault after
	// so many strikes (0: never), Probability strikes by chance (0: always).
	Skip        int     `json:"skip,omitempty"`
	Times       int     `json:"times,omitempty"`
	Probability float64 `json:"probability,omitempty"`

	Delay         Duration          `json:"delay,omitempty"`
	Status        int               `json:"status,omitempty"`
	Message       string            `json:"message,omitempty"`
	Documentation string            `json:"documentation_url,omitempty"`
	Errors        json.RawMessage   `json:"errors,omitempty"`
	Header        map[string]string `json:"header,omitempty"`
	Push          *Push             `json:"push,omitempty"`
	Do            func()            `json:"-"`
	Flood         *Flood            `json:"flood,omitempty"`
	// Tamper gets the request and the answer's body, and returns what is sent.
	Tamper func(r *http.Request, body []byte) []byte `json:"-"`

	// Struck is how often it did strike.
	Struck int `json:"struck"`
}

// Push is a commit by somebody else.
type Push struct {
	Branch  string            `json:"branch"`
	Message string            `json:"message"`
	Files   map[string]string `json:"files"` // contents by path
	Remove  []string          `json:"remove,omitempty"`
}

// Flood is an answer that is larger than any of GitHub's: Begin, then Repeat until
// so many bytes of it were sent, then End.
type Flood struct {
	Begin  string `json:"begin"`
	Repeat string `json:"repeat"`
	End    string `json:"end"`
	Bytes  int64  `json:"bytes"` // 0: until the caller leaves
	Gzip   bool   `json:"gzip"`  // compressed, for callers that take it
}

// files turns the push into what Commit takes.
func (p *Push) files() Files {
	files := Files{}
	for path, content := range p.Files {
		files[path] = File{Content: []byte(content)}
	}
	for _, path := range p.Remove {
		files[path] = File{Remove: true}
	}
	return files
}

// On narrows the fault to a method and an operation; see Endpoint.
func (f Fault) On(method, endpoint string) Fault { f.Method, f.Endpoint = method, endpoint; return f }

// Once ends the fault after its first strike.
func (f Fault) Once() Fault { return f.For(1) }

// For ends the fault after n strikes.
func (f Fault) For(n int) Fault { f.Times = n; return f }

// After lets the first n matching requests pass.
func (f Fault) After(n int) Fault { f.Skip = n; return f }

// WithProbability strikes only that share of the matching requests, by the
// server's seed.
func (f Fault) WithProbability(p float64) Fault { f.Probability = p; return f }

// To narrows the fault to the token of that name.
func (f Fault) To(token string) Fault { f.Token = token; return f }

// faultList is safe for concurrent use.
type faultList struct {
	mu     sync.Mutex
	random *rand.Rand
	next   int
	active []*activeFault
}

type activeFault struct {
	Fault
	seen int
}

func (l *faultList) seed(seed uint64) {
	l.random = rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // chaos must be repeatable
}

func (l *faultList) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = nil
}

// Inject adds a fault and returns its id, for Remove. Faults apply in the order
// they came; of several that answer the first does.
func (s *Server) Inject(f Fault) (id string) {
	l := &s.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	f.ID, f.Struck = fmt.Sprintf("fault-%d", l.next), 0
	l.active = append(l.active, &activeFault{Fault: f})
	return f.ID
}

// Remove ends a fault and reports whether there was one of that id.
func (s *Server) Remove(id string) bool {
	l := &s.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.active)
	l.active = slices.DeleteFunc(l.active, func(f *activeFault) bool { return f.ID == id })
	return len(l.active) < before
}

// Faults returns those that are there, used-up ones too.
func (s *Server) Faults() []Fault {
	l := &s.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Fault, 0, len(l.active))
	for _, f := range l.active {
		all = append(all, f.Fault)
	}
	return all
}

// ClearFaults removes all.
func (s *Server) ClearFaults() { s.faults.clear() }

// pickFaults finds the faults that strike the request and counts them.
func (c *call) pickFaults() {
	l := &c.Server.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	var effects []string
	for _, f := range l.active {
		if !c.chosenBy(&f.Fault) || f.Times > 0 && f.Struck >= f.Times {
			continue
		}
		if f.seen++; f.seen <= f.Skip {
			continue
		}
		if f.Probability > 0 && l.random.Float64() >= f.Probability {
			continue
		}
		f.Struck++
		c.faults = append(c.faults, f.Fault)
		effects = append(effects, string(f.Effect))
	}
	c.record.Fault = strings.Join(effects, ",")
}

func (c *call) chosenBy(f *Fault) bool {
	if f.Method != "" && f.Method != c.r.Method || f.Token != "" && f.Token != c.caller.name() {
		return false
	}
	if f.Repository != "" && !strings.EqualFold(f.Repository, c.r.PathValue("owner")+"/"+c.r.PathValue("repo")) {
		return false
	}
	return strings.Contains(c.route.path, f.Endpoint)
}

func (c *call) has(e Effect) bool {
	return slices.ContainsFunc(c.faults, func(f Fault) bool { return f.Effect == e })
}

// runHooks lets others act right before the operation.
func (c *call) runHooks() {
	for _, f := range c.faults {
		switch {
		case f.Effect == EffectCall && f.Do != nil:
			f.Do()
		case f.Effect == EffectPush && f.Push != nil:
			c.push(f.Push)
		}
	}
}

func (c *call) push(p *Push) {
	repo, err := c.Repository(c.r.PathValue("owner") + "/" + c.r.PathValue("repo"))
	if err == nil {
		_, err = repo.Commit(p.Branch, p.files(), p.Message)
	}
	if err != nil {
		c.logger.Warn("push of a fault failed", "error", err)
	}
}

func (c *call) refusedByFault() *refusal {
	for _, f := range c.faults {
		switch f.Effect {
		case EffectBadGateway:
			return badGateway()
		case EffectProxy:
			return &refusal{status: f.Status, message: http.StatusText(f.Status), html: proxyPage, foreign: true}
		case EffectRefuse:
			return f.refusal()
		case EffectPrimaryLimit:
			return f.decorate(c.primaryRefusal(f.Status, c.start.Add(orSecond(f.Delay))))
		case EffectSecondaryLimit:
			return f.decorate(secondaryRefusal(f.Status, orDefault(f.Message, secondaryText), f.Delay))
		}
	}
	return nil
}

func (f Fault) refusal() *refusal {
	r := &refusal{status: f.Status, message: f.Message, doc: f.Documentation, header: f.Header}
	if len(f.Errors) > 0 {
		r.errors = f.Errors
	}
	return r
}

// decorate adds the fault's own headers, such as a Retry-After.
func (f Fault) decorate(r *refusal) *refusal {
	if r.header == nil {
		r.header = map[string]string{}
	}
	maps.Copy(r.header, f.Header)
	return r
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
