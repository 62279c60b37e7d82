package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/update"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// webhooksRoute is where registries post.
const webhooksRoute = "/v1/webhooks/:source"

// DefaultWebhookBody bounds a webhook's body in bytes, unless configured otherwise.
const DefaultWebhookBody = maxBody

// Webhook is a source of webhooks, and what its pushes may change.
type Webhook struct {
	Source *webhook.Source
	// Targets are ids of targets; none means all.
	Targets []string
	// Present is a pattern that the present version must match; zero means any.
	Present image.Pattern
}

// Verdicts on deliveries that do not get as far as a receipt, for the metrics.
const (
	verdictHandshake = "handshake"
	verdictRefused   = "refused"
	verdictFailed    = "failed"
)

// receiveWebhook answers POST /v1/webhooks/{source}: what was pushed is stored, and
// then answered.
func (s *server) receiveWebhook(c *gin.Context) {
	name := c.Param("source")
	hook, ok := s.webhooks[name]
	if !ok {
		note(c, slog.String("reason", "no webhook source of that name"))
		abort(c, errNoRoute)
		return
	}
	note(c, slog.String("source", name))
	verdict, err := s.receive(c, name, hook)
	if err != nil {
		verdict = verdictFailed
		if problemOf(err).status < http.StatusInternalServerError {
			verdict = verdictRefused
		}
		abort(c, err)
	}
	note(c, slog.String("verdict", verdict))
	s.metrics.deliveries.WithLabelValues(name, verdict).Inc()
}

func (s *server) receive(c *gin.Context, name string, hook Webhook) (verdict string, err error) {
	delivery, err := s.readDelivery(c, hook)
	if err != nil {
		return "", err
	}
	if delivery.Reply != nil {
		return verdictHandshake, answerWebhook(c, http.StatusOK, "", delivery.Reply)
	}
	if delivery.Dropped != nil {
		note(c, slog.Any("dropped", delivery.Dropped))
	}
	reason := delivery.Ignored
	var updates []queue.Update
	for _, push := range delivery.Pushes {
		u, err := s.storePush(name, hook, push)
		if err != nil {
			reason = err.Error()
			continue
		}
		updates = append(updates, u)
	}
	receipt := Receipt{Status: ReceiptStatusIgnored, Updates: []ReceivedUpdate{}}
	if len(updates) == 0 {
		receipt.Reason = &reason
		note(c, slog.String("reason", reason))
		return string(receipt.Status), answerWebhook(c, http.StatusOK, "", receipt)
	}
	accepted, err := s.queue.Accept(c.Request.Context(), updates, nil)
	if err != nil {
		return "", asStoreError(err)
	}
	receipt = receiptOf(accepted)
	if receipt.Status == ReceiptStatusIgnored {
		receipt.Reason = new(reasonExpired)
		note(c, slog.String("reason", reasonExpired))
		return string(receipt.Status), answerWebhook(c, http.StatusOK, "", receipt)
	}
	note(c, slog.String("update", *receipt.Id), slog.String("image", receipt.Updates[0].Image),
		slog.String("version", receipt.Updates[0].Version), slog.Int("pushes", len(updates)))
	if receipt.Status == ReceiptStatusDuplicate {
		return string(receipt.Status), answerWebhook(c, http.StatusOK, "", receipt)
	}
	return string(receipt.Status), answerWebhook(c, http.StatusAccepted, updatesRoute+"/"+*receipt.Id, receipt)
}

// reasonExpired is why a replay of an old push is ignored.
const reasonExpired = "the push is older than the history is kept (queue.retention), so what came after it is not known"

func answerWebhook(c *gin.Context, status int, location string, body any) error {
	a, err := newAnswer(status, location, body)
	if err != nil {
		return err
	}
	return a.send(c.Writer)
}

// readDelivery reads the body, which is no JSON yet for what comes before its
// authenticity is proven.
func (s *server) readDelivery(c *gin.Context, hook Webhook) (webhook.Delivery, error) {
	if err := wantPlain(c.Request.Header); err != nil {
		return webhook.Delivery{}, err
	}
	body, err := readBody(c.Request, s.webhookBody)
	if err != nil {
		return webhook.Delivery{}, err
	}
	delivery, err := hook.Source.Receive(c.Request.Context(), webhook.Request{
		Header: c.Request.Header, Query: c.Request.URL.Query(), Body: body,
	})
	var bad *webhook.MalformedError
	switch {
	case errors.Is(err, webhook.ErrUnauthenticated):
		return delivery, fmt.Errorf("%w: %w", errNotAuthentic, err) // the cause is for the log
	case errors.As(err, &bad):
		return delivery, malformed("the body is not one valid JSON value: " + brief(bad.Cause))
	case errors.Is(err, webhook.ErrUnavailable):
		return delivery, fmt.Errorf("%w: %w", errKeys, err)
	}
	return delivery, err
}

// wantPlain refuses bodies that are packed in a way that nobody signs.
func wantPlain(h http.Header) error {
	if err := wantIdentity(h); err != nil {
		return err
	}
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	if media == "application/x-www-form-urlencoded" || strings.HasPrefix(media, "multipart/") {
		return unsupported("set the webhook's content type to application/json")
	}
	return nil
}

// storePush is the push as an update to store. The error is a reason to ignore it.
func (s *server) storePush(source string, hook Webhook, push webhook.Push) (queue.Update, error) {
	if push.Unusable != "" {
		return unusable(s.newID(), source, push), nil
	}
	in := &UpdateRequest{Image: push.Image.String(), Version: push.Tag.String(), Digest: present(push.Digest.String()), Present: present(hook.Present.String())}
	r := update.Request{
		ID: s.newID(), Image: push.Image, Version: push.Tag, Digest: push.Digest, Targets: hook.Targets, Present: hook.Present,
	}
	places, err := s.updates.Choose(r)
	if err != nil {
		return queue.Update{}, err
	}
	u := toStore(r, in, places)
	u.Webhook, u.DeliveryID, u.PushedAt, u.AbsentAs = source, push.ID, push.Time, queue.Unchanged
	return u, nil
}

// unusablePush is what is stored in place of the request of a push that cannot be
// one.
type unusablePush struct {
	Unusable string `json:"unusable"` // why
}

// unusable is a push of an image that has no name here: it is seen as failed,
// since the sender can do nothing about it. Once the source is set up, another
// delivery of it is a new one, so it has no id.
func unusable(id, source string, push webhook.Push) queue.Update {
	return queue.Update{
		ID: id, Image: push.Name, Version: push.Tag.String(), Digest: push.Digest.String(),
		Webhook: source, PushedAt: push.Time, Status: queue.Failed, Request: encode(unusablePush{oneLine(push.Unusable)}),
	}
}

// unusableReason is why a stored push was unusable; empty for every other update.
func unusableReason(u queue.Update) string {
	var stored unusablePush
	if len(u.Tasks) > 0 || json.Unmarshal(u.Request, &stored) != nil {
		return ""
	}
	return stored.Unusable
}

// receiptOf tells what became of the updates: of several, that for which most is
// left to do.
func receiptOf(accepted []queue.Accepted) Receipt {
	words := map[queue.Disposition]ReceiptStatus{
		queue.Stored: ReceiptStatusQueued, queue.Retried: ReceiptStatusRetried, queue.Duplicate: ReceiptStatusDuplicate,
	}
	rank := map[ReceiptStatus]int{ReceiptStatusDuplicate: 1, ReceiptStatusFailed: 2, ReceiptStatusRetried: 3, ReceiptStatusQueued: 4}
	receipt := Receipt{Status: ReceiptStatusIgnored, Updates: []ReceivedUpdate{}}
	for _, a := range accepted {
		if a.Disposition == queue.Expired {
			continue
		}
		status := words[a.Disposition]
		if a.Disposition == queue.Stored && a.Status == queue.Failed {
			status = ReceiptStatusFailed
		}
		receipt.Updates = append(receipt.Updates, ReceivedUpdate{
			Id: a.ID, Status: status, Image: a.Image, Version: a.Version,
		})
		if rank[status] > rank[receipt.Status] {
			receipt.Status, receipt.Id = status, new(a.ID)
		}
	}
	return receipt
}

// allowWebhook answers OPTIONS /v1/webhooks/{source}.
func (s *server) allowWebhook(c *gin.Context) {
	hook, ok := s.webhooks[c.Param("source")]
	if !ok {
		abort(c, errNoRoute)
		return
	}
	header, err := hook.Source.Preflight(c.GetHeader("WebHook-Request-Origin"), c.Request.URL.Query())
	switch {
	case errors.Is(err, webhook.ErrNoPreflight):
		c.Header("Allow", http.MethodPost)
		abort(c, errNoMethod)
	case errors.Is(err, webhook.ErrUnauthenticated):
		abort(c, fmt.Errorf("%w: %w", errNotAuthentic, err))
	case err != nil:
		abort(c, malformed(brief(err.Error())))
	default:
		for name, values := range header {
			c.Header(name, strings.Join(values, ", "))
		}
		c.Status(http.StatusOK)
	}
}
