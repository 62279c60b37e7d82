package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

// secret is what every source of the tests shares with its sender.
const secret = "correct horse battery staple"

// now is the sources' clock: a day after most of the payloads.
func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// options are the least that a source of a kind needs. Kind gar's trust the
// issuer that authentic signs for; nothing is fetched until a token comes.
func options(kind webhook.Kind) webhook.Options {
	o := webhook.Options{Name: string(kind), Kind: kind, Secrets: []string{secret}, Now: now}
	switch kind {
	case webhook.KindZot:
		o.Registry = "zot.example.com:5000"
	case webhook.KindNexus:
		o.Registry = "nexus.example.com:8082"
	case webhook.KindGeneric:
		o.Generic = &webhook.Generic{
			Image: "/artifact/image", Version: "/artifact/tags", Digest: "/artifact/digest",
			Time: "/event/finished_at", ID: "/event/id",
		}
	case webhook.KindGAR:
		o.Secrets = nil
		o.Audience, o.ServiceAccount = audience, account
		o.Keys = webhook.Keys{URL: "http://keys.example.com/certs"}
		o.Transport = publishedKeys()
	}
	return o
}

func newSource(tb testing.TB, o webhook.Options) *webhook.Source {
	tb.Helper()
	s, err := webhook.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// request is what a sender posts.
type request struct {
	Header http.Header
	Query  url.Values
	Body   []byte
}

// send hands a request to a source, in the two steps that a server takes.
func send(ctx context.Context, s *webhook.Source, r request) (webhook.Delivery, error) {
	admission, err := s.Admit(ctx, webhook.Request{Header: r.Header, Query: r.Query})
	if err != nil {
		return webhook.Delivery{}, err
	}
	return admission.Receive(r.Body)
}

// authentic is a request with the body and a proof for the kind's options.
func authentic(kind webhook.Kind, body []byte) request {
	r := request{Header: http.Header{}, Query: url.Values{}, Body: body}
	switch kind {
	case webhook.KindGitHub:
		r.Header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, body))
		r.Header.Set("X-GitHub-Event", "push")
	case webhook.KindGHCR:
		r.Header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, body))
		r.Header.Set("X-GitHub-Delivery", delivery)
	case webhook.KindDockerHub, webhook.KindQuay:
		r.Query.Set("token", secret)
	case webhook.KindHarbor, webhook.KindDistribution, webhook.KindZot, webhook.KindACR:
		r.Header.Set("Authorization", secret)
	case webhook.KindECR:
		r.Header.Set("X-Api-Key", secret)
	case webhook.KindGAR:
		r.Header.Set("Authorization", "Bearer "+goodToken())
	case webhook.KindArtifactory:
		r.Header.Set("X-JFrog-Event-Auth", secret)
	case webhook.KindNexus:
		r.Header.Set("X-Nexus-Webhook-Signature", sign(sha1.New, body))
		r.Header.Set("X-Nexus-Webhook-Delivery", delivery)
	case webhook.KindGeneric:
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	return r
}

// delivery is the id of a delivery whose sender tells it in a header.
const delivery = "72d3162e-cc78-11e3-81ab-4c9367dc0958"

func sign(algorithm func() hash.Hash, body []byte) string {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// payload reads a file below testdata.
func payload(tb testing.TB, name string) []byte {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// digest is the digest that payloads give to what is named.
func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// push is a webhook.Push in texts.
type push struct {
	Image, Tag, Digest, ID, Time string
	Name, Version, Unusable      string
}

func pushesOf(d webhook.Delivery) []push {
	var all []push
	for _, p := range d.Pushes {
		q := push{
			Image: p.Image.String(), Tag: p.Tag.String(), Digest: p.Digest.String(), ID: p.ID,
			Name: p.Name, Version: p.Version, Unusable: p.Unusable,
		}
		if !p.Time.IsZero() {
			q.Time = p.Time.Format(time.RFC3339Nano)
		}
		all = append(all, q)
	}
	return all
}

// reception is one request to one source and what must come of it.
type reception struct {
	name string
	// file is below testdata; body, when there is one, stands for it.
	file, body string
	header     map[string]string
	options    func(*webhook.Options)
	want       []push
	// ignored is a part of the reason for which there are no pushes.
	ignored string
	// refusal is the bound of the source that kept a push out.
	refusal webhook.Refusal
	// dropped are the reasons beside pushes.
	dropped []string
}

// receive runs receptions of one kind as tests of their own.
func receive(t *testing.T, kind webhook.Kind, tests []reception) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options(kind)
			if tt.options != nil {
				tt.options(&o)
			}
			body := []byte(tt.body)
			if tt.file != "" {
				body = payload(t, tt.file)
			}
			r := authentic(kind, body)
			for name, value := range tt.header {
				r.Header.Set(name, value)
			}
			got, err := send(t.Context(), newSource(t, o), r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, pushesOf(got)); diff != "" {
				t.Errorf("pushes (-want +got):\n%s", diff)
			}
			switch {
			case tt.ignored == "" && got.Ignored != "":
				t.Errorf("ignored: %s", got.Ignored)
			case !strings.Contains(got.Ignored, tt.ignored):
				t.Errorf("ignored with %q, want %q", got.Ignored, tt.ignored)
			}
			if got.Refusal != tt.refusal {
				t.Errorf("refused by %q, want %q", got.Refusal, tt.refusal)
			}
			if tt.want != nil {
				if diff := cmp.Diff(tt.dropped, got.Dropped); diff != "" {
					t.Errorf("dropped (-want +got):\n%s", diff)
				}
			}
			checkWhole(t, got)
		})
	}
}

// checkWhole checks what holds for every delivery.
func checkWhole(tb testing.TB, d webhook.Delivery) {
	tb.Helper()
	if (len(d.Pushes) > 0) == (d.Ignored != "") {
		tb.Errorf("%d pushes, and ignored is %q", len(d.Pushes), d.Ignored)
	}
	if len(d.Pushes) > webhook.MaxPushes {
		tb.Errorf("%d pushes", len(d.Pushes))
	}
	if d.Reply != nil && len(d.Pushes) > 0 {
		tb.Error("a reply stands beside pushes")
	}
	for _, text := range append([]string{d.Ignored}, d.Dropped...) {
		if len(text) > 2000 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' && r != '…' }) {
			tb.Errorf("the reason %q is long or not printable", text)
		}
	}
	ids, seen := map[string]bool{}, map[[5]string]bool{}
	for _, p := range d.Pushes {
		if p.Tag.IsZero() && p.Unusable == "" || p.Image.IsZero() && p.Unusable == "" || (p.Name != "" && p.Version != "") != (p.Unusable != "") {
			tb.Errorf("a push is neither whole nor says why: %+v", p)
		}
		for _, text := range []string{p.Name, p.Version, p.Unusable} {
			if len(text) > 310 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				tb.Errorf("%q is long or not printable", text)
			}
		}
		if p.ID != "" && ids[p.ID] {
			tb.Errorf("two pushes have the id %q", p.ID)
		}
		ids[p.ID] = true
		key := [5]string{p.Image.Name(), p.Name, p.Tag.String(), p.Version, p.Digest.String()}
		if seen[key] {
			tb.Errorf("%v was pushed twice", key)
		}
		seen[key] = true
	}
}

// wantKind checks that an error is of one kind and hides the secret.
func wantKind(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got %v, want %v", err, want)
	}
	if strings.Contains(err.Error(), secret) {
		tb.Errorf("the error tells the secret: %v", err)
	}
}

func mustReceive(tb testing.TB, o webhook.Options, r request) webhook.Delivery {
	tb.Helper()
	d, err := send(context.Background(), newSource(tb, o), r)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}
