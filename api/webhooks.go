package api

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
	"github.com/refty-yapi/refty-node-versions-service/pkg/span"
	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
	"github.com/refty-yapi/refty-node-versions-service/pkg/worker"
)

// webhooksRoute is where registries post.
const (
	webhooksPath  = "/v1/webhooks/"
	webhooksRoute = webhooksPath + ":source"
)

// DefaultWebhookBody bounds a webhook's body in bytes, unless configured otherwise.
const DefaultWebhookBody = maxBody

// Webhook is a source of webhooks and the bounds of its pushes.
type Webhook struct {
	Source *webhook.Source
	// Targets are ids of targets; none means all.
	Targets []string
	// Present is a pattern that the present version must match; zero means any.
	Present image.Pattern
}

// Verdicts, in the metrics, on deliveries that end without a receipt.
const (
	verdictHandshake = "handshake"
	verdictRefused   = "refused"
	verdictFailed    = "failed"
)

// receiveWebhook answers POST /v1/webhooks/{source}, after it has stored the pushes.
func (s *server) receiveWebhook(c *gin.Context) {
	name := c.Param("source")
	hook, ok := s.webhooks[name]
	if !ok {
		abort(c, errNoSource)
		return
	}
	note(c, slog.String("source", name))
	verdict, err := s.receive(c, name, hook)
	if err != nil {
		verdict = verdictFailed
		if problemOf(err).status < http.StatusInternalServerError {
			verdict = verdictRefused
		}
		if errors.Is(err, errNotAuthentic) {
			s.refusals.warn(c.Request.Context(), s.logger, name, err)
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
		return verdictHandshake, respondWebhook(c, http.StatusOK, "", delivery.Reply)
	}
	if delivery.Hint != nil {
		return s.noteHint(c, hook, *delivery.Hint)
	}
	idle := ignoredReceipt(delivery)
	source := worker.Source{Name: name, Targets: hook.Targets, Present: hook.Present}
	var updates []queue.Update
	for _, push := range delivery.Pushes {
		u, err := s.worker.FromPush(s.newID(), source, push)
		if err != nil {
			idle.Reason = new(err.Error())
			delivery.Drop(err.Error())
			continue
		}
		updates = append(updates, u)
	}
	if delivery.Dropped != nil {
		note(c, slog.Any("dropped", delivery.Dropped))
	}
	if len(updates) == 0 {
		note(c, slog.String("reason", *idle.Reason))
		return cmp.Or(string(delivery.Refusal), string(idle.Status)), respondWebhook(c, http.StatusOK, "", idle)
	}
	for i := range updates {
		updates[i].Trace = span.Context(c.Request.Context())
	}
	accepted, err := s.queue.Accept(c.Request.Context(), updates, nil)
	if err != nil {
		return "", asStoreError(err)
	}
	receipt := receiptOf(accepted)
	if len(receipt.Updates) == 0 {
		idle.Reason = new(reasonExpired)
		note(c, slog.String("reason", reasonExpired))
		return string(idle.Status), respondWebhook(c, http.StatusOK, "", idle)
	}
	note(c, slog.String("update", *receipt.Id), slog.String("image", receipt.Updates[0].Image),
		slog.String("version", receipt.Updates[0].Version), slog.Int("pushes", len(updates)))
	if receipt.Status == "" {
		idle := IdleReceipt{Id: receipt.Id, Status: IdleReceiptStatusDuplicate, Updates: receipt.Updates}
		return string(idle.Status), respondWebhook(c, http.StatusOK, "", idle)
	}
	return string(receipt.Status), respondWebhook(c, http.StatusAccepted, updatesRoute+"/"+*receipt.Id, receipt)
}

// noteHint has looked at what an event of GitHub's may concern: the pull request of the
// branch, or after a push to a target's branch the branch itself and all pull requests of
// the target. Where the default branch is the target's, every push may be to it.
func (s *server) noteHint(c *gin.Context, hook Webhook, h webhook.Hint) (verdict string, err error) {
	var own, pushed, marked []string // targets, and branches
	for _, p := range s.updates.In(h.Repository) {
		if len(hook.Targets) > 0 && !slices.Contains(hook.Targets, p.ID) {
			continue
		}
		own = append(own, p.ID)
		if h.Pushed && (p.Branch == h.Branch || p.Branch == "") {
			pushed = append(pushed, p.ID)
			marked = append(marked, p.Key)
		}
	}
	receipt := IdleReceipt{Status: IdleReceiptStatusIgnored, Reason: new("no target is of this repository"), Updates: []ReceivedUpdate{}}
	if len(own) > 0 {
		receipt.Status, receipt.Reason = IdleReceiptStatusNoted, nil
		err = s.queue.HintProposals(c.Request.Context(), own, h.Branch)
	}
	if err == nil && len(pushed) > 0 {
		err = errors.Join(s.queue.MarkBranches(c.Request.Context(), marked), s.queue.HintProposals(c.Request.Context(), pushed))
	}
	if err != nil {
		return "", asStoreError(err)
	}
	return string(receipt.Status), respondWebhook(c, http.StatusOK, "", receipt)
}

// reasonExpired is why a replay of an old push is ignored.
const reasonExpired = "the push is older than the history is kept (queue.retention), so what came after it is not known"

// ignoredReceipt returns the receipt of a delivery without a push to store.
func ignoredReceipt(d webhook.Delivery) IdleReceipt {
	r := IdleReceipt{Status: IdleReceiptStatusIgnored, Reason: &d.Ignored, Updates: []ReceivedUpdate{}}
	if d.Refusal != "" {
		r.Reason, r.Detail = new(string(d.Refusal)), &d.Ignored
	}
	return r
}

func respondWebhook(c *gin.Context, status int, location string, body any) error {
	a, err := newResponse(status, location, body)
	if err != nil {
		return err
	}
	return a.send(c.Writer)
}

// readDelivery checks the request's headers and URL, and reads the body only if they
// pass. The body's memory counts against s.bodies if they authenticate the sender, and
// against s.unproven otherwise.
func (s *server) readDelivery(c *gin.Context, hook Webhook) (webhook.Delivery, error) {
	r := c.Request
	if err := wantPlain(r.Header); err != nil {
		drain(c.Writer, r)
		return webhook.Delivery{}, err
	}
	admission, err := hook.Source.Admit(r.Context(), webhook.Request{Header: r.Header, Query: r.URL.Query()})
	if err != nil {
		drain(c.Writer, r)
		return webhook.Delivery{}, asDeliveryError(err)
	}
	bodies := s.unproven
	if admission.Proven {
		bodies = s.bodies
	}
	body, release, err := bodies.read(c.Writer, r, s.webhookBody)
	if err != nil {
		return webhook.Delivery{}, err
	}
	defer release()
	delivery, err := admission.Receive(body)
	return delivery, asDeliveryError(err)
}

// asDeliveryError translates an error of a source for the table of errors.
func asDeliveryError(err error) error {
	var bad *webhook.MalformedError
	switch {
	case errors.Is(err, webhook.ErrUnauthenticated):
		return fmt.Errorf("%w: %w", errNotAuthentic, err) // the cause is for the log
	case errors.As(err, &bad):
		return malformed("the body is not one valid JSON value: " + brief(bad.Cause))
	case errors.Is(err, webhook.ErrUnavailable):
		return fmt.Errorf("%w: %w", errKeys, err)
	}
	return err
}

// wantPlain refuses compressed bodies and forms, over which no sender signs.
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

// receiptOf returns the receipt of the accepted updates, with the status of the one
// that has the most left to do. It has no status when all are duplicates, and no
// updates when all are too old.
func receiptOf(accepted []queue.Accepted) Receipt {
	words := map[queue.Disposition]ReceivedUpdateStatus{
		queue.Stored: ReceivedUpdateStatusQueued, queue.Retried: ReceivedUpdateStatusRetried, queue.Duplicate: ReceivedUpdateStatusDuplicate,
	}
	rank := map[ReceivedUpdateStatus]int{
		ReceivedUpdateStatusDuplicate: 1, ReceivedUpdateStatusFailed: 2, ReceivedUpdateStatusRetried: 3, ReceivedUpdateStatusQueued: 4,
	}
	var receipt Receipt
	var most ReceivedUpdateStatus
	for _, a := range accepted {
		if a.Disposition == queue.Expired {
			continue
		}
		status := words[a.Disposition]
		if a.Disposition == queue.Stored && a.Status == queue.Failed {
			status = ReceivedUpdateStatusFailed
		}
		receipt.Updates = append(receipt.Updates, ReceivedUpdate{
			Id: a.ID, Status: status, Image: a.Image, Version: a.Version,
		})
		if rank[status] > rank[most] {
			most, receipt.Id = status, new(a.ID)
		}
	}
	if most != ReceivedUpdateStatusDuplicate {
		receipt.Status = ReceiptStatus(most)
	}
	return receipt
}

// allowWebhook answers OPTIONS /v1/webhooks/{source}.
func (s *server) allowWebhook(c *gin.Context) {
	hook, ok := s.webhooks[c.Param("source")]
	if !ok {
		abort(c, errNoSource)
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
