package worker

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// maxReason is how many bytes of an error or a reason are stored as one line.
const maxReason = 1000

// Source is a source of webhooks, and what its pushes may change.
type Source struct {
	Name string
	// Targets are ids of targets; none means all.
	Targets []string
	// Present is a pattern that the present version must match; zero means any.
	Present image.Pattern
}

// FromRequest returns the update to store for a caller's request: one task for each
// target that it goes to and each image that it moves there. The error is that of update.Service's Choose.
func (w *Worker) FromRequest(r update.Request) (queue.Update, error) {
	u, err := w.queued(r)
	u.AbsentAs = queue.Failed
	return u, err
}

// FromPush returns the update to store for a webhook's push, under a new id. The
// error is that of update.Service's Choose, and a reason to ignore the push.
func (w *Worker) FromPush(id string, s Source, p webhook.Push) (queue.Update, error) {
	if p.Unusable != "" {
		return unusable(id, s, p), nil
	}
	u, err := w.queued(update.Request{
		ID: id, Images: []update.Image{{Repository: p.Image, Version: p.Tag, Digest: p.Digest}}, Targets: s.Targets, Present: s.Present,
	})
	u.Webhook, u.DeliveryID, u.PushedAt, u.AbsentAs = s.Name, p.ID, p.Time, queue.Unchanged
	return u, err
}

func (w *Worker) queued(r update.Request) (queue.Update, error) {
	choices, err := w.updates.Choose(r)
	if err != nil {
		return queue.Update{}, err
	}
	u := stored(r)
	for _, c := range choices {
		for _, m := range c.Images {
			u.Tasks = append(u.Tasks, task(r, m, queue.Task{Target: c.ID, Branch: c.Key, Result: update.EncodeResult(update.Result{Place: c.Place})}))
		}
	}
	return u, nil
}

// Ended returns the update for the history of a request that was carried out at
// once. What failed is not tried again.
func Ended(r update.Request, results []update.Result) queue.Update {
	u := stored(r)
	u.AbsentAs, u.PushedAt, u.AcceptedAt = queue.Failed, r.At, r.At
	for _, result := range results {
		for i, o := range outcomesOf(result, result.Images, nil, r.At) {
			if o.Status == queue.Queued {
				o.Status = queue.Failed
			}
			u.Tasks = append(u.Tasks, task(r, result.Images[i], queue.Task{
				Target: result.ID, Branch: result.Key, Status: o.Status, Attempts: 1, LastError: o.Error, Result: o.Result, Retriable: o.Retriable,
			}))
		}
	}
	return u
}

// task is a task for an image of the request. Only one of a request with a list of images
// has a version of its own.
func task(r update.Request, m update.Image, t queue.Task) queue.Task {
	t.Image, t.Hold = m.Repository.Name(), r.Hold
	if r.Listed {
		t.Version, t.Digest = m.Version.String(), m.Digest.String()
	}
	return t
}

// stored is the request as an update without tasks.
func stored(r update.Request) queue.Update {
	first := r.Images[0] // the others are those of the tasks
	return queue.Update{
		ID: r.ID, Image: first.Repository.Name(), Version: first.Version.String(), Digest: first.Digest.String(), Scope: r.Scope(),
		Caller: r.Caller, Request: update.EncodeRequest(r),
	}
}

// request reads what stored has stored, for the images of some of its tasks.
func request(u queue.Update, images []string) (update.Request, error) {
	r, err := update.DecodeRequest(u.Request)
	if err != nil {
		return r, err
	}
	r.ID, r.Caller, r.All = u.ID, u.Caller, r.Images
	if u.Webhook != "" {
		r.Caller, r.Heedless = "webhook/"+u.Webhook, true
	}
	r.Images = slices.DeleteFunc(slices.Clone(r.All), func(m update.Image) bool { return !slices.Contains(images, m.Repository.Name()) })
	if len(r.Images) != len(images) {
		return r, fmt.Errorf("the request does not name the images %v", images)
	}
	return r, nil
}

// unusablePush is stored in place of the request of a push that cannot be one.
type unusablePush struct {
	V        int    `json:"v"`
	Unusable string `json:"unusable"` // why
}

// unusable stores a push that cannot become a request as failed, so that somebody
// sees it. Once the source is set up, another delivery of it is a new one, so it has
// no delivery id.
func unusable(id string, s Source, p webhook.Push) queue.Update {
	text, err := json.Marshal(unusablePush{V: 1, Unusable: safetext.Line(p.Unusable, maxReason)})
	if err != nil {
		panic(err) // text can always be encoded
	}
	return queue.Update{
		ID: id, Image: p.Name, Version: p.Version, Digest: p.Digest.String(),
		Webhook: s.Name, PushedAt: p.Time, Status: queue.Failed, Request: text,
	}
}

// UnusableReason returns why a stored push could not become a request, and "" for
// every other update.
func UnusableReason(u queue.Update) string {
	var push unusablePush
	if len(u.Tasks) > 0 || json.Unmarshal(u.Request, &push) != nil {
		return ""
	}
	return push.Unusable
}
