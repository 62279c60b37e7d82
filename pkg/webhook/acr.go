package webhook

import "strings"

// Azure Container Registry's own webhooks and its events through Event Grid, in
// Event Grid's schema or CloudEvents:
// https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference
// https://learn.microsoft.com/azure/event-grid/event-schema-container-registry
// https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema

// gridValidation is the response that confirms a subscription of Event Grid.
type gridValidation struct {
	ValidationResponse string `json:"validationResponse"`
}

const (
	acrPushed      = "Microsoft.ContainerRegistry.ImagePushed"
	gridValidating = "Microsoft.EventGrid.SubscriptionValidationEvent"
	// maxCode bounds the validation code that is echoed, in bytes; the code is a
	// UUID.
	maxCode = 512
)

func readACR(r Request, content []byte) (reading, error) {
	found, err := envelopes(r, content)
	if err != nil {
		return reading{}, err
	}
	for e := range found {
		if e.Type == gridValidating {
			return e.validation(), nil
		}
	}
	return reading{events: func(yield func(event) bool) {
		for e := range found {
			if !yield(e.acr()) {
				return
			}
		}
	}}, nil
}

// acr reads one event: Event Grid's when it has a type, otherwise the registry's
// own.
func (e *envelope) acr() event {
	var body registryEvent
	switch {
	case e.Type == "":
		fill(e.whole, &body)
		return body.event()
	case !strings.EqualFold(e.Type, acrPushed):
		return noPush(e.Type)
	}
	fill(e.Data, &body)
	if body.Action == "" {
		body.Action = "push"
	}
	if body.Timestamp.IsZero() {
		body.Timestamp = e.Time
	}
	body.ID = e.ID
	return body.event()
}

func (e *envelope) validation() reading {
	var data struct {
		ValidationCode string `json:"validationCode"`
	}
	fill(e.Data, &data)
	if data.ValidationCode == "" || len(data.ValidationCode) > maxCode {
		return ignored("the handshake of Event Grid has no code")
	}
	return reading{ignored: "the handshake of Event Grid", reply: gridValidation{data.ValidationCode}}
}
