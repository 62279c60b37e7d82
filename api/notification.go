package api

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/safetext"
)

const (
	// maxNotificationText bounds the sentence of a notification in bytes: chats take less
	// than ten times that.
	maxNotificationText = 1000
	// updatesPage is where the page for people shows an update.
	updatesPage = "/#/updates/"
)

// notification is the body of the message that tells how an update ended: by Standard
// Webhooks a type, a time and data.
type notification struct {
	Type      string           `json:"type"`
	Timestamp time.Time        `json:"timestamp"`
	Data      notificationData `json:"data"`
}

type notificationData struct {
	// Text is one line for people, and Link is where they see more.
	Text string `json:"text"`
	Link string `json:"link,omitempty"`
	// Shortened reports that what changed in each file is left out, and under skipped too,
	// because it is too long for a message.
	Shortened bool         `json:"shortened,omitempty"`
	Update    UpdateRecord `json:"update"`
}

// Notification returns the body of the message that tells how a stored update ended, of
// at most most bytes, or nil if it cannot be made so short. service is the address of this
// service for links, "" if it is not known.
func Notification(u queue.Update, service string, most int) []byte {
	record := recordView(u)
	n := notification{
		Type: "update." + string(record.Status), Timestamp: u.FinishedAt.UTC(),
		Data: notificationData{Text: notificationText(record), Link: notificationLink(record, service), Update: record},
	}
	body := encode(n)
	if len(body) <= most {
		return body
	}
	n.Data.Shortened = true
	for i := range n.Data.Update.Targets {
		t := &n.Data.Update.Targets[i]
		t.Files, t.Skipped, t.MergedVersions, t.Notes = []FileUpdate{}, []Skip{}, nil, nil
	}
	if body = encode(n); len(body) <= most {
		return body
	}
	n.Data.Update.Targets = []TargetUpdate{}
	if body = encode(n); len(body) <= most {
		return body
	}
	return nil
}

// notificationText is one line: what, what became of it, and where.
func notificationText(r UpdateRecord) string {
	var b strings.Builder
	switch {
	case r.Images != nil && len(*r.Images) > 0:
		first := (*r.Images)[0]
		fmt.Fprintf(&b, "%s:%s", first.Image, first.Version)
		if more := len(*r.Images) - 1; more > 0 {
			fmt.Fprintf(&b, " and %d more", more)
		}
	case r.Image != nil && r.Version != nil:
		fmt.Fprintf(&b, "%s:%s", *r.Image, *r.Version)
	}
	fmt.Fprintf(&b, " %s", r.Status)
	for i, t := range r.Targets {
		separator := ";"
		if i == 0 {
			separator = ":"
		}
		fmt.Fprintf(&b, "%s %s", separator, targetText(t, len(r.Targets) > 1))
	}
	if len(r.Targets) == 0 && r.LastError != nil {
		fmt.Fprintf(&b, ": %s", *r.LastError)
	}
	return safetext.Line(b.String(), maxNotificationText)
}

func targetText(t TargetUpdate, withStatus bool) string {
	name := t.Repository
	if t.Branch != "" {
		name += "@" + t.Branch
	}
	if t.Name != nil {
		name = *t.Name
	}
	if withStatus {
		name += " " + string(t.Status)
	}
	switch {
	case t.Problem != nil:
		return name + " (" + t.Problem.Detail + ")"
	case t.PullRequest != nil:
		return fmt.Sprintf("%s (pull request #%d)", name, t.PullRequest.Number)
	case len(t.Files) == 1:
		return name + " (" + changeText(t.Files[0]) + ")"
	case len(t.Files) > 1:
		return fmt.Sprintf("%s (%d files)", name, len(t.Files))
	}
	return name
}

// changeText is the first change of a file: those of one image are mostly alike.
func changeText(f FileUpdate) string {
	if len(f.Changes) == 0 {
		return f.Path
	}
	return fmt.Sprintf("%s: %s → %s", f.Path, cmp.Or(f.Changes[0].From, "nothing"), f.Changes[0].To)
}

// notificationLink is the address of the first commit or pull request. Of an update that
// wrote nothing it is the page of this service.
func notificationLink(r UpdateRecord, service string) string {
	for _, t := range r.Targets {
		switch {
		case t.PullRequest != nil && t.Status == r.Status:
			return t.PullRequest.Url
		case t.Commit != nil && t.Status == r.Status:
			return t.Commit.Url
		}
	}
	if service == "" {
		return ""
	}
	return strings.TrimSuffix(service, "/") + updatesPage + url.PathEscape(r.Id)
}
