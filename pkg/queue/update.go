package queue

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Status is the progress of an update or a task.
type Status string

// The statuses. All but Queued are ends.
const (
	Queued     Status = "queued"
	Committed  Status = "committed"  // a commit is on the branch
	Proposed   Status = "proposed"   // a pull request is open
	Unchanged  Status = "unchanged"  // the branch has the version already
	Superseded Status = "superseded" // a newer one of the same image replaced it
	Held       Status = "held"       // a hold keeps the image where it is
	Failed     Status = "failed"     // ended with an error
	Absent     Status = "absent"     // of a task only: the target does not name the image
)

// Ended reports whether no further work follows.
func (s Status) Ended() bool { return s != Queued && s != "" }

// Update is one accepted update, of one or more images to one or more targets.
type Update struct {
	ID string // chosen by the caller, unique: a UUIDv7
	// Image, Version and Digest are those of its only image, or of the first: a normalised
	// name, which is compared as text, and a digest that is "" when it is unknown.
	Image   string
	Version string
	Digest  string
	// Scope separates updates that do not replace each other although target and image
	// are the same, such as those of different path globs. Usually "".
	Scope string

	Caller  string // the API caller's name, or
	Webhook string // the webhook source's
	// DeliveryID is the webhook sender's own id of this push, the same when it
	// delivers again; "" when the sender has none. It is unique per Webhook: two
	// pushes of one delivery need two.
	DeliveryID string

	// Trace is the span in which it was stored, as Trace Context has it; "" for none.
	Trace string
	// Request holds what Apply needs beyond these fields. The queue does not read it.
	Request []byte
	// PushedAt is when the image was pushed, as its sender says; zero when it does not.
	// It is compared with the times of that sender alone: an update that comes after
	// one with a later time is superseded. Shown is the time of arrival where it is
	// zero or in the future.
	PushedAt time.Time
	// AbsentAs is how the update ends when every task is Absent: Failed or
	// Unchanged. "" is Unchanged.
	AbsentAs Status
	Tasks    []Task

	// Status is that of all targets together: Queued while one of them is, and then
	// their Overall status. The caller sets it only when there are no tasks.
	Status Status
	// AcceptedAt is set by Accept. Record takes the caller's over, unless it is
	// zero or in the future.
	AcceptedAt time.Time
	FinishedAt time.Time // zero while queued
}

// Task is one image of an update on its way to one target. The tasks of a target are
// carried out together: Apply gets them in one batch. A task may come in with a
// Status that is an end; then it is stored as it is.
type Task struct {
	Target string // the target's name
	// Image is the normalised name of the image, unique among the update's tasks for the
	// target; "" is the update's.
	Image string
	// Version and Digest are the image's; of a task without a Version they are the update's.
	Version, Digest string
	// Branch is the key of what one job drains, such as owner/name@branch.
	// Several targets may share one.
	Branch string
	Status Status // "" is Queued
	// Hold is the ID of the hold that came with the task, "" when none did. It is removed
	// when the task comes to nothing. No task that is still queued supersedes this one,
	// because the hold may keep that one from being carried out.
	Hold string

	Attempts    int       // that failed and were not postponements
	NextAttempt time.Time // while queued: not before
	LastError   string    // one line
	// Retriable reports that the task ended Unchanged and Retry takes it all the same, or
	// that it is queued by such a Retry.
	Retriable  bool
	Result     []byte    // of the last Outcome; the queue does not look into it
	FinishedAt time.Time // zero while queued
}

// Apply carries out all due tasks of a branch, in order, and returns an Outcome
// for each. It is called with a context that ends after Options.ApplyTimeout, or
// when the context of [Queue.Stop] ends; then it must return soon, with Queued for each
// task that it did not carry out. It is never called twice at once for one branch.
// It must be idempotent: after a crash a batch comes again.
type Apply func(ctx context.Context, batch Batch) []Outcome

// Batch is the argument of Apply.
type Batch struct {
	Branch string
	Items  []Item // in the order of arrival
}

// Item is one task together with its update, whose Tasks are left out.
type Item struct {
	Update Update
	Task   Task
	// Place is the position in the order of one target and image, comparable with the
	// result of Enter. The later one is the newer one.
	Place time.Time
	// Sent is the commit that an earlier try announced (see [Queue.Announce]) and
	// that may be on the branch; "" when there is none. It is looked up before
	// anything else: when it is there, the task is Committed.
	Sent string
}

// Outcome is the result of one attempt at a task.
type Outcome struct {
	// Status is Queued when the task is to be tried again, else its end.
	Status Status
	// After, with Queued, postpones the task by this duration without counting an
	// attempt (a rate limit). Zero means that the attempt failed: the wait grows with
	// each attempt, and the task is Failed after a day.
	After time.Duration
	// Parked, with After, reports that the task waits for its target and not for
	// another try: the wait is no part of the day, and Unpark ends it.
	Parked bool
	Error  string // one line, when Queued or Failed
	Result []byte // nil keeps that of an earlier attempt
	// Retriable, with Unchanged, has Retry take the task.
	Retriable bool
	// InDoubt, with Queued, reports that the announced commit may be on the branch.
	InDoubt bool
}

// Overall is the status of targets together: of those that are not Absent, the first that
// one of them has of Failed, Queued, Committed, Proposed, Held, Superseded, Unchanged. It
// is Absent when all are.
func Overall(targets ...Status) Status {
	return first(targets, []Status{Failed, Queued, Committed, Proposed, Held, Superseded, Unchanged})
}

// Together is the status of a target whose images have these: an image that is left to a
// newer update, that is held, or that the target does not name, does not count beside
// others.
func Together(images ...Status) Status {
	return first(images, []Status{Queued, Failed, Committed, Proposed, Unchanged, Held, Superseded})
}

// first returns the first of the ranked statuses that occurs, or Absent.
func first(statuses, ranked []Status) Status {
	for _, s := range ranked {
		if slices.Contains(statuses, s) {
			return s
		}
	}
	return Absent
}

// aggregate is the status of the tasks together, see Update.Status. absentAs is for the case
// that none is anything else than Absent. There is at least one task.
func aggregate(tasks []Task, absentAs Status) Status {
	images := map[string][]Status{} // by target
	for _, t := range tasks {
		images[t.Target] = append(images[t.Target], t.Status)
	}
	var targets []Status
	for _, statuses := range images {
		targets = append(targets, Together(statuses...))
	}
	if slices.Contains(targets, Queued) {
		return Queued
	}
	if s := Overall(targets...); s != Absent {
		return s
	}
	return absentAs
}

// imageOf returns the image of a task.
func (u *Update) imageOf(t *Task) string { return cmp.Or(t.Image, u.Image) }
