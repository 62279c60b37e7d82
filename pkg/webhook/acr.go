package webhook

import "strings"

// Azure Container Registry's own webhooks and its events through Event Grid, in
// Event Grid's schema or CloudEvents:
// https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference
// https://learn.microsoft.com/azure/event-grid/event-schema-container-registry
// https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema

// gridValidation is the answer by which an endpoint agrees to Event Grid's
// deliveries.
type gridValidation struct {
	ValidationResponse string `json:"validationResponse"`
}

const (
	acrPushed      = "Microsoft.ContainerRegistry.ImagePushed"
	gridValidating = "Microsoft.EventGrid.SubscriptionValidationEvent"
	// maxCode is the longest validation code that is echoed, in bytes; it is a
	// UUID.
	maxCode = 512
)

func readACR(r Request) (reading, error) {
	found, err := envelopes(r)
	if err != nil {
		return reading{}, err
	}
	var read reading
	for i := range found {
		e := &found[i]
		if e.Type == gridValidating {
			return e.validation()
		}
		one, err := e.acr()
		if err != nil {
			return reading{}, err
		}
		read.events = append(read.events, one)
	}
	return read, nil
}

// acr reads an event that is Event Grid's when it has a type, and else the
// registry's own.
func (e *envelope) acr() (event, error) {
	var body registryEvent
	if e.Type == "" {
		err := decode(e.whole, &body)
		return body.event(), err
	}
	if !strings.EqualFold(e.Type, acrPushed) {
		return noPush(e.Type), nil
	}
	if err := e.read(&body); err != nil {
		return event{}, err
	}
	if body.Action == "" {
		body.Action = "push"
	}
	if body.Timestamp.IsZero() {
		body.Timestamp = e.Time
	}
	body.ID = e.ID
	return body.event(), nil
}

func (e *envelope) validation() (reading, error) {
	var data struct {
		ValidationCode string `json:"validationCode"`
	}
	if err := e.read(&data); err != nil {
		return reading{}, err
	}
	if data.ValidationCode == "" || len(data.ValidationCode) > maxCode {
		return ignored("the handshake of Event Grid has no code"), nil
	}
	return reading{ignored: "the handshake of Event Grid", reply: gridValidation{data.ValidationCode}}, nil
}
