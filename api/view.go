package api

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// statuses maps the status of a stored update or task to the contract's.
var statuses = map[queue.Status]Status{
	queue.Queued:     StatusQueued,
	queue.Committed:  StatusCommitted,
	queue.Unchanged:  StatusUnchanged,
	queue.Superseded: StatusSuperseded,
	queue.Proposed:   StatusProposed,
	queue.Held:       StatusHeld,
	queue.Failed:     StatusFailed,
}

// ends maps the status of a result to the contract's.
var ends = map[update.Status]Status{
	update.Committed:  StatusCommitted,
	update.Proposed:   StatusProposed,
	update.Unchanged:  StatusUnchanged,
	update.Superseded: StatusSuperseded,
	update.Held:       StatusHeld,
	update.Planned:    StatusPlanned,
}

// viewOf returns the view of a request that was carried out at once.
func viewOf(r update.Request, results []update.Result) Update {
	body := Update{Id: r.ID, Targets: []TargetUpdate{}}
	body.Image, body.Version, body.Images = imagesView(r.Images, r.Listed)
	for _, result := range results {
		status := ends[result.Status]
		if result.Err != nil {
			status = StatusFailed
		}
		view := targetView(result, status)
		if status != StatusSuperseded {
			for _, m := range result.Superseded {
				view.Superseded = appended(view.Superseded, m.Repository.String())
			}
		}
		body.Targets = append(body.Targets, view)
	}
	body.Status = overall(body.Targets)
	body.LeftOut = leftOutView(r)
	if underHold := body.Status != StatusFailed && body.Status != StatusHeld && body.Status != StatusSuperseded; underHold && !r.DryRun {
		body.HoldId = present(r.UnderHold())
	}
	var denials []WouldDeny
	for _, result := range results {
		denials = append(denials, resultDenials(result.ID, result)...)
	}
	body.Policy = policyNote(denials)
	return body
}

// leftOutView returns the images that a promotion leaves out; nil for every other request.
func leftOutView(r update.Request) *[]LeftOut {
	if r.Promotes == "" {
		return nil
	}
	left := []LeftOut{}
	for _, l := range r.LeftOut {
		left = append(left, LeftOut(l))
	}
	return &left
}

// permitDenials are what rules that are only watched would deny of a request that is not
// carried out yet.
func permitDenials(r update.Request) (all []WouldDeny) {
	for _, m := range r.Images {
		for _, p := range m.Permits {
			if len(p.WouldDeny) > 0 {
				all = append(all, WouldDeny{Target: p.Target, Image: present(m.Repository.String()), Rule: present(p.Closest), Reasons: p.WouldDeny})
			}
		}
	}
	return all
}

// resultDenials are what they would have denied of one that is.
func resultDenials(target string, r update.Result) (all []WouldDeny) {
	for _, d := range r.WouldDeny {
		all = append(all, WouldDeny{Target: target, Image: present(d.Image), Rule: present(d.Rule), Reasons: d.Reasons})
	}
	return all
}

// policyNote returns nil for no denials.
func policyNote(denials []WouldDeny) *PolicyNote {
	if len(denials) == 0 {
		return nil
	}
	return &PolicyNote{WouldDeny: denials}
}

// imagesView returns the images of an update in the form in which it came.
func imagesView(images []update.Image, listed bool) (name, version *string, list *MovedImages) {
	if !listed {
		return new(images[0].Repository.String()), new(images[0].Version.String()), nil
	}
	list = new(MovedImages)
	for _, m := range images {
		*list = append(*list, MovedImage{Image: m.Repository.String(), Version: m.Version.String(), Digest: present(m.Digest.String())})
	}
	return nil, nil, list
}

// overall returns the status of an update from those of its targets.
func overall(targets []TargetUpdate) Status {
	planned := false
	var stored []queue.Status
	for _, t := range targets {
		planned = planned || t.Status == StatusPlanned
		stored = append(stored, storedStatus(string(t.Status)))
	}
	s := queue.Overall(stored...)
	if planned && s != queue.Failed {
		return StatusPlanned
	}
	return statuses[s]
}

// storedView returns the view of a stored update. Targets that name none of the images
// are left out if another target does.
func storedView(u queue.Update) Update {
	body := Update{Id: u.ID, Status: statuses[u.Status], Targets: []TargetUpdate{}}
	underHold := ""
	sent := map[string]string{} // the images as they were sent, by their names
	var denials []WouldDeny
	if r, err := update.DecodeRequest(u.Request); err == nil {
		for _, m := range r.Images {
			sent[m.Repository.Name()] = m.Repository.String()
		}
		body.LeftOut = leftOutView(r)
		underHold = r.UnderHold()
		if u.Status == queue.Queued || u.Status == "" {
			denials = permitDenials(r)
		}
	}
	body.Image, body.Version, body.Images = storedImages(u, sent)
	named := slices.ContainsFunc(u.Tasks, func(t queue.Task) bool { return t.Status != queue.Absent })
	for _, tasks := range byTarget(u.Tasks) {
		first := tasks[0]
		if first.Status == queue.Absent && named {
			continue
		}
		result, err := update.DecodeResult(first.Result)
		if err != nil {
			continue
		}
		if !first.Status.CameToNothing() {
			body.HoldId = present(cmp.Or(first.Hold, underHold))
		}
		view := taskView(first, result, u.AbsentAs)
		for _, t := range tasks {
			if t.Status == queue.Superseded && first.Status != queue.Superseded {
				view.Superseded = appended(view.Superseded, cmp.Or(sent[t.Image], t.Image))
			}
		}
		body.Targets = append(body.Targets, view)
		denials = append(denials, resultDenials(first.Target, result)...)
	}
	if len(body.Targets) > 0 {
		body.Status = overall(body.Targets)
	}
	body.Policy = policyNote(denials)
	return body
}

// storedImages returns the images of a stored update in the form in which it came. Only
// the tasks of one with a list of images have a version of their own.
func storedImages(u queue.Update, sent map[string]string) (name, version *string, list *MovedImages) {
	listed := map[string]bool{}
	for _, t := range u.Tasks {
		if t.Version == "" || listed[t.Image] {
			continue
		}
		if list == nil {
			list = new(MovedImages)
		}
		listed[t.Image] = true
		*list = append(*list, MovedImage{Image: cmp.Or(sent[t.Image], t.Image), Version: t.Version, Digest: present(t.Digest)})
	}
	if list != nil {
		return nil, nil, list
	}
	return new(cmp.Or(sent[u.Image], u.Image)), new(u.Version), nil
}

// appended returns the list with another text.
func appended(list *[]string, text string) *[]string {
	if list == nil {
		return &[]string{text}
	}
	*list = append(*list, text)
	return list
}

// byTarget parts tasks by their target; of each the first is one of those whose image
// came to what the target came to, and has the result.
func byTarget(tasks []queue.Task) [][]queue.Task {
	at := map[string]int{}
	var parts [][]queue.Task
	for _, t := range tasks {
		n, ok := at[t.Target]
		if !ok {
			n = len(parts)
			at[t.Target] = n
			parts = append(parts, nil)
		}
		parts[n] = append(parts[n], t)
	}
	for _, part := range parts {
		var statuses []queue.Status
		for _, t := range part {
			statuses = append(statuses, cmp.Or(t.Status, queue.Queued))
		}
		together := queue.Together(statuses...)
		slices.SortStableFunc(part, func(a, b queue.Task) int {
			return -cmp.Compare(rank(a, together), rank(b, together))
		})
	}
	return parts
}

func rank(t queue.Task, together queue.Status) int {
	if cmp.Or(t.Status, queue.Queued) == together {
		return 1
	}
	return 0
}

// taskView returns the view of a task with its last result. absentAs is the status of
// a task whose target does not name the image.
func taskView(task queue.Task, result update.Result, absentAs queue.Status) TargetUpdate {
	status := cmp.Or(task.Status, queue.Queued)
	switch {
	case status == queue.Absent:
		status = cmp.Or(absentAs, queue.Unchanged)
	case status == queue.Superseded, status == queue.Queued && task.Attempts == 0 && task.LastError == "":
		result.Err = nil // of an earlier try
	}
	view := targetView(result, statuses[status])
	if task.Status == queue.Failed && view.Problem == nil {
		view.Problem = &TargetProblem{Status: http.StatusInternalServerError, Code: ProblemCodeInternal, Detail: task.LastError}
	}
	return view
}

// recordView returns the view of a stored update with its history.
func recordView(u queue.Update) UpdateRecord {
	body := storedView(u)
	r := UpdateRecord{
		Id: body.Id, Status: body.Status, Image: body.Image, Version: body.Version, Images: body.Images, Targets: body.Targets,
		HoldId: body.HoldId, LeftOut: body.LeftOut, Policy: body.Policy,
		Caller: present(u.Caller), Webhook: present(u.Webhook), CreatedAt: u.AcceptedAt.UTC(), FinishedAt: presentTime(u.FinishedAt),
	}
	if body.Images == nil {
		r.Digest = present(u.Digest)
	}
	if u.PushedAt.Before(u.AcceptedAt) {
		r.PushedAt = presentTime(u.PushedAt)
	}
	r.LastError = present(worker.UnusableReason(u))
	for _, t := range body.Targets {
		if t.Status == StatusQueued && t.NotBefore != nil && (r.NotBefore == nil || t.NotBefore.Before(*r.NotBefore)) {
			r.NotBefore = t.NotBefore
		}
	}
	for _, task := range u.Tasks {
		r.Attempts = max(r.Attempts, task.Attempts)
		if telling := task.Status == queue.Failed || task.Status == queue.Queued || task.Status == queue.Absent && r.Status == StatusFailed; telling && r.LastError == nil {
			r.LastError = present(task.LastError)
		}
		if next := presentTime(task.NextAttempt); task.Status == queue.Queued && next != nil && (r.NextAttemptAt == nil || next.Before(*r.NextAttemptAt)) {
			r.NextAttemptAt = next
		}
	}
	return r
}

// targetView returns the view of a request's result on one target.
func targetView(r update.Result, status Status) TargetUpdate {
	t := TargetUpdate{
		Name: present(r.Name), Repository: r.Repo.String(), Branch: r.Branch, Status: status,
		Files: []FileUpdate{}, Skipped: []Skip{},
	}
	if len(r.Notes) > 0 {
		t.Notes = &r.Notes
	}
	if failure, failed := r.Failure(); failed {
		t.Problem = targetProblem(failure)
		if status == StatusQueued {
			t.NotBefore = presentTime(failure.NotBefore)
		}
		return t
	}
	addPull(&t, r)
	if r.Denied != nil {
		t.Problem = targetProblem(update.FailureOf(r.Denied))
	}
	if r.Commit != nil {
		t.Commit = &Commit{Sha: string(r.Commit.SHA), Url: r.Commit.URL, Message: r.Commit.Message}
	}
	if r.Status == update.Planned {
		t.Diff = &r.Diff
	}
	if len(r.Holds) > 0 {
		t.Holds = new([]Hold)
		for _, h := range r.Holds {
			*t.Holds = append(*t.Holds, holdView(queue.Hold(h)))
		}
	}
	for _, f := range r.Files {
		t.Files = append(t.Files, fileView(f))
	}
	if len(r.MergedVersions) > 0 {
		t.MergedVersions = &r.MergedVersions
	}
	for _, s := range r.Skipped {
		t.Skipped = append(t.Skipped, Skip{Path: s.Path, Line: present(s.Line), Reason: string(s.Reason), NamedIn: namedIn(s.NamedIn)})
	}
	return t
}

// stand reports whether everything that was proposed stood already.
func stand(results []update.Result) bool {
	return !slices.ContainsFunc(results, func(r update.Result) bool { return r.Status == update.Proposed && !r.Standing })
}

// resultsOf returns the last results of a stored update.
func resultsOf(u queue.Update) []update.Result {
	var results []update.Result
	for _, task := range u.Tasks {
		if r, err := update.DecodeResult(task.Result); err == nil {
			results = append(results, r)
		}
	}
	return results
}

// addPull adds what a result says of its pull request.
func addPull(t *TargetUpdate, r update.Result) {
	if r.Pull != nil {
		t.PullRequest = &PullRequest{Number: r.Pull.Number, Url: r.Pull.URL, Branch: r.Pull.Branch, State: PullRequestState(r.Pull.State)}
	}
	t.Reason, t.MergeError = present(TargetUpdateReason(r.Reason)), present(r.MergeError)
	if len(r.Refused) > 0 {
		t.Refused = &r.Refused
	}
}

func targetProblem(f update.Failure) *TargetProblem {
	p := problemOfFailure(f)
	problem := &TargetProblem{Status: p.status, Code: p.code, Detail: p.detail, Rule: present(f.Rule)}
	if len(f.Reasons) > 0 {
		problem.Reasons = &f.Reasons
	}
	return problem
}

func fileView(f update.File) FileUpdate {
	out := FileUpdate{Path: f.Path, Changes: []Change{}}
	for _, c := range f.Changes {
		out.Changes = append(out.Changes, Change{
			Image: present(c.Image), Line: c.Line, Column: c.Column, Pointer: present(c.Pointer), From: c.From, To: c.To,
			FromDigest: present(c.FromDigest), ToDigest: present(c.ToDigest), NamedIn: namedIn(c.NamedIn),
		})
	}
	return out
}

func namedIn(n update.NamedIn) *NamedIn {
	if n == (update.NamedIn{}) {
		return nil
	}
	return &NamedIn{Path: n.Path, Line: n.Line}
}

// present returns nil for a zero value, which the answer leaves out.
func present[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

func presentTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
