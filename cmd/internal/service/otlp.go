package service

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlpClient sends spans by OTLP over HTTP in the binary form
// (https://opentelemetry.io/docs/specs/otlp/#otlphttp). It is an otlptrace.Client. The one
// of OpenTelemetry's own brings all of gRPC along, and is several times as large as the
// rest of tracing.
type otlpClient struct {
	endpoint string
	headers  map[string]string
	gzip     bool
	timeout  time.Duration
	client   *http.Client
}

// maxOTLPAnswer bounds what is read of a collector's answer.
const maxOTLPAnswer = 4 << 10

// otlpWait is the wait after the first attempt at a batch, which doubles with each further
// one. The timeout bounds all of them.
const otlpWait = 500 * time.Millisecond

func newOTLPClient(t tracing) (*otlpClient, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if len(t.certificate) > 0 {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(t.certificate) {
			return nil, errors.New("OTEL_EXPORTER_OTLP_CERTIFICATE: the file has no certificate in PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return &otlpClient{endpoint: t.endpoint(), headers: t.headers, gzip: t.gzip, timeout: t.timeout, client: &http.Client{Transport: transport}}, nil
}

// Start implements otlptrace.Client.
func (*otlpClient) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *otlpClient) Stop(context.Context) error {
	c.client.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. The request's message has the fields of
// TracesData, whose description says so.
func (c *otlpClient) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	if c.gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write(body) // a buffer takes everything
		_ = w.Close()
		body = packed.Bytes()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for wait := otlpWait; ; wait *= 2 {
		again, err := c.send(ctx, body)
		if err == nil || !again {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// send sends a batch once. again reports whether it may be sent again.
func (c *otlpClient) send(ctx context.Context, body []byte) (again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, errors.New("send spans: the request cannot be made")
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "refty-node-versions-service")
	if c.gzip {
		request.Header.Set("Content-Encoding", "gzip")
	}
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	answer, err := c.client.Do(request)
	if err != nil {
		return true, fmt.Errorf("send spans: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxOTLPAnswer))
	switch answer.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return false, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, fmt.Errorf("send spans: the collector answered %d", answer.StatusCode)
	}
	return false, fmt.Errorf("send spans: the collector answered %d", answer.StatusCode)
}
