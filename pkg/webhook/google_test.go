package webhook_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/refty-yapi/refty-node-versions-service/pkg/webhook"
)

const (
	audience = "https://versions.example.com/v1/webhooks/gar"
	account  = "pubsub-push@octo-project.iam.gserviceaccount.com"
	keyID    = "key-1"
)

// The issuer's key, and one that it does not publish.
var (
	issuerKey  = sync.OnceValue(newKey)
	anotherKey = sync.OnceValue(newKey)
)

// goodToken is one that the sources of the tests take.
var goodToken = sync.OnceValue(func() string { return token(nil) })

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// claims are those of a token by Pub/Sub, with changes; nil takes a claim away.
func claims(changes map[string]any) string {
	all := map[string]any{
		"iss": "https://accounts.google.com", "aud": audience, "azp": "113774264463038321964", "sub": "113774264463038321964",
		"email": account, "email_verified": true,
		"iat": now().Add(-time.Minute).Unix(), "exp": now().Add(time.Hour).Unix(),
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func token(changes map[string]any) string {
	return oidctest.SignIDToken(issuerKey(), keyID, "RS256", claims(changes))
}

// keySet is the issuer's key as a JSON Web Key Set.
func keySet(id string) []byte {
	public := issuerKey().PublicKey
	body, err := json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": id,
		"n": base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
	}}})
	if err != nil {
		panic(err)
	}
	return body
}

// carrier is a transport made of a function.
type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// publishedKeys answers every request with the issuer's key.
func publishedKeys() http.RoundTripper {
	return carrier(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(keySet(keyID))), Request: r}, nil
	})
}

// forbidden fails the test that makes a request.
type forbidden struct{ tb testing.TB }

func (f forbidden) RoundTrip(r *http.Request) (*http.Response, error) {
	f.tb.Errorf("fetched %s", r.URL)
	return nil, errors.New("no request is allowed")
}

// keyServer serves the issuer's key on loopback until it is told otherwise, and
// counts how often it is asked.
type keyServer struct {
	*httptest.Server
	asked atomic.Int64
	keyID atomic.Value
	fail  atomic.Int64
}

func newKeyServer(t *testing.T) *keyServer {
	t.Helper()
	k := &keyServer{}
	k.keyID.Store(keyID)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.asked.Add(1)
		if status := k.fail.Load(); status != 0 {
			w.Header().Set("Location", k.URL)
			w.WriteHeader(int(status))
			return
		}
		_, _ = w.Write(keySet(k.keyID.Load().(string)))
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *keyServer) options() webhook.Options {
	o := options(webhook.KindGAR)
	o.Keys.URL = k.URL + "/certs"
	o.Transport = k.Client().Transport
	return o
}

// pubsub is a delivery of Pub/Sub with a token.
func pubsub(t *testing.T, token string) request {
	t.Helper()
	return request{Header: http.Header{"Authorization": {"Bearer " + token}}, Body: payload(t, "gar/insert.json")}
}

func TestGARToken(t *testing.T) {
	t.Parallel()
	server := newKeyServer(t)
	source := newSource(t, server.options())
	tests := []struct {
		name, token string
		says        string
	}{
		{name: "Google's", token: token(nil)},
		{name: "Google's issuer in its other spelling", token: token(map[string]any{"iss": "accounts.google.com"})},
		{name: "several audiences with ours", token: token(map[string]any{"aud": []string{"x", audience}})},
		{name: "another audience", token: token(map[string]any{"aud": "https://example.com"}), says: "audience"},
		{name: "an audience that is long and has an escape", token: token(map[string]any{"aud": "\x1b[31m" + strings.Repeat("x", 2000)}), says: "audience"},
		{name: "no audience", token: token(map[string]any{"aud": nil}), says: "audience"},
		{name: "another account", token: token(map[string]any{"email": "somebody@octo-project.iam.gserviceaccount.com"}), says: "of the account"},
		{name: "no account", token: token(map[string]any{"email": nil}), says: "of the account"},
		{name: "a mail address that is not verified", token: token(map[string]any{"email_verified": false}), says: "not verified"},
		{name: "a mail address of which nothing is said", token: token(map[string]any{"email_verified": nil}), says: "not verified"},
		{name: "verified by a word", token: token(map[string]any{"email_verified": "true"}), says: "email_verified"},
		{name: "expired", token: token(map[string]any{"exp": now().Add(-time.Second).Unix()}), says: "expired"},
		{name: "no expiry", token: token(map[string]any{"exp": nil}), says: "expired"},
		{name: "another issuer", token: token(map[string]any{"iss": "https://example.com"}), says: "different provider"},
		{name: "a key that the issuer does not publish", token: oidctest.SignIDToken(anotherKey(), keyID, "RS256", claims(nil)), says: "signature"},
		{name: "a key of another name", token: oidctest.SignIDToken(anotherKey(), "key-2", "RS256", claims(nil)), says: "signature"},
		{name: "no signature", token: unsigned(), says: "malformed"},
		{name: "half a token", token: token(nil)[:40], says: "malformed"},
		{name: "no token", token: "", says: "malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := send(t.Context(), source, pubsub(t, tt.token))
			if tt.says == "" {
				if err != nil || len(got.Pushes) != 1 {
					t.Fatalf("got %d pushes, %v", len(got.Pushes), err)
				}
				return
			}
			wantKind(t, err, webhook.ErrUnauthenticated)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v does not say %q", err, tt.says)
			}
			if tt.token != "" && strings.Contains(err.Error(), tt.token) || len(err.Error()) > 300 || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("not fit for a log: %q", err)
			}
		})
	}
}

// unsigned is a token that says of itself that it needs no signature.
func unsigned() string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(claims(nil))) + "."
}

func TestGARWithoutBearer(t *testing.T) {
	t.Parallel()
	o := options(webhook.KindGAR)
	o.Transport = forbidden{t}
	for _, given := range []string{"", token(nil), "Basic " + token(nil)} {
		r := pubsub(t, "")
		r.Header.Set("Authorization", given)
		_, err := send(t.Context(), newSource(t, o), r)
		wantKind(t, err, webhook.ErrUnauthenticated)
	}
}

func TestGARKeysAreKept(t *testing.T) {
	t.Parallel()
	server := newKeyServer(t)
	o := server.options()
	var clock atomic.Int64
	o.Now = func() time.Time { return now().Add(time.Duration(clock.Load())) }
	source := newSource(t, o)
	if n := server.asked.Load(); n != 0 {
		t.Errorf("asked %d times before there was a token", n)
	}
	mustPass := func() {
		t.Helper()
		if _, err := send(t.Context(), source, pubsub(t, token(nil))); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		mustPass()
	}
	if n := server.asked.Load(); n != 1 {
		t.Errorf("asked %d times for five tokens, want once", n)
	}

	// Whoever makes tokens up does not make the service ask again and again.
	forged := oidctest.SignIDToken(anotherKey(), "made-up", "RS256", claims(nil))
	for range 20 {
		_, err := send(t.Context(), source, pubsub(t, forged))
		wantKind(t, err, webhook.ErrUnauthenticated)
	}
	if n := server.asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}

	// A new key is found once the old answer has aged.
	server.keyID.Store("key-2")
	clock.Store(int64(time.Minute))
	renewed := oidctest.SignIDToken(issuerKey(), "key-2", "RS256", claims(nil))
	if _, err := send(t.Context(), source, pubsub(t, renewed)); err != nil {
		t.Fatal(err)
	}
	if n := server.asked.Load(); n != 2 {
		t.Errorf("asked %d times, want twice", n)
	}
}

func TestGARKeysAreUnavailable(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusFound, http.StatusNoContent} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			server := newKeyServer(t)
			server.fail.Store(int64(status))
			source := newSource(t, server.options())
			_, err := send(t.Context(), source, pubsub(t, token(nil)))
			wantKind(t, err, webhook.ErrUnavailable)
			if errors.Is(err, webhook.ErrUnauthenticated) {
				t.Error("a token that could not be looked at was refused")
			}

			server.fail.Store(0)
			if _, err := send(t.Context(), source, pubsub(t, token(nil))); err != nil {
				t.Fatalf("when the keys are back: %v", err)
			}
		})
	}
}

// silent is a transport whose answer never comes. It tells when a request ends.
func silent(ended chan<- struct{}) http.RoundTripper {
	return carrier(func(r *http.Request) (*http.Response, error) {
		defer close(ended)
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
}

func TestGARKeysNeverCome(t *testing.T) {
	t.Parallel()
	given := token(nil)
	t.Run("the fetch ends by itself", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			o, ended := options(webhook.KindGAR), make(chan struct{})
			o.Transport = silent(ended)
			start := time.Now()
			_, err := send(t.Context(), newSource(t, o), pubsub(t, given))
			wantKind(t, err, webhook.ErrUnavailable)
			if took := time.Since(start); took != 8*time.Second {
				t.Errorf("took %v", took)
			}
			<-ended
		})
	})
	t.Run("the caller goes first", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			o, ended := options(webhook.KindGAR), make(chan struct{})
			o.Transport = silent(ended)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			_, err := send(ctx, newSource(t, o), pubsub(t, given))
			wantKind(t, err, webhook.ErrUnavailable)
			wantKind(t, err, context.DeadlineExceeded)
			if took := time.Since(start); took != time.Second {
				t.Errorf("took %v", took)
			}
			<-ended // The request outlives its caller, and ends by itself.
		})
	})
}

func TestGARIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	server := newKeyServer(t)
	source := newSource(t, server.options())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := send(t.Context(), source, pubsub(t, token(nil))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
