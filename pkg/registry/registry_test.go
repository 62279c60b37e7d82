package registry_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
	"github.com/refty-yapi/refty-node-versions-service/pkg/registry"
)

// world is a registry on loopback that counts its requests. before answers a request
// in its place, if it is set and returns true.
type world struct {
	host   string
	digest string // of octo-org/web:1.0.0, an index

	mu     sync.Mutex
	asked  []string
	before func(w http.ResponseWriter, r *http.Request) bool
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{}
	served := fake.New(fake.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.Method+" "+r.URL.Path)
		before := w.before
		w.mu.Unlock()
		if before == nil || !before(rw, r) {
			served.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	index, err := random.Index(16, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	at, err := name.NewTag(w.host + "/octo-org/web:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(at, index); err != nil {
		t.Fatal(err)
	}
	hash, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	w.digest = hash.String()
	w.reset(nil)
	return w
}

func (w *world) reset(before func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.before = nil, before
}

// count returns the number of requests that begin with the text.
func (w *world) count(prefix string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, asked := range w.asked {
		if strings.HasPrefix(asked, prefix) {
			n++
		}
	}
	return n
}

func (w *world) listed() []registry.Host { return []registry.Host{{Name: w.host, Insecure: true}} }

func repository(t testing.TB, text string) image.Repository {
	t.Helper()
	r, err := image.ParseRepository(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tag(t testing.TB, text string) image.Tag {
	t.Helper()
	v, err := image.ParseTag(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func client(t *testing.T, o registry.Options) *registry.Client {
	t.Helper()
	c, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDigest(t *testing.T) {
	t.Parallel()
	w := start(t)
	c := client(t, registry.Options{Hosts: w.listed()})
	web := repository(t, w.host+"/octo-org/web")

	// A tag that exists is asked for once, however many want to know.
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			digest, found, err := c.Digest(t.Context(), web, tag(t, "1.0.0"))
			if err != nil || !found || digest.String() != w.digest {
				t.Errorf("Digest = %s, %t, %v; want %s", digest, found, err, w.digest)
			}
		})
	}
	all.Wait()
	if found, err := c.Exists(t.Context(), web, tag(t, "1.0.0")); err != nil || !found {
		t.Errorf("Exists = %t, %v", found, err)
	}
	if n := w.count("HEAD"); n != 1 {
		t.Errorf("%d HEADs, want 1", n)
	}

	// One that does not is asked for each time, since it may be there a moment later.
	for range 2 {
		if found, err := c.Exists(t.Context(), web, tag(t, "2.0.0")); err != nil || found {
			t.Errorf("a missing tag: Exists = %t, %v", found, err)
		}
	}
	if n := w.count("HEAD /v2/octo-org/web/manifests/2.0.0"); n != 2 {
		t.Errorf("%d HEADs of the missing tag, want 2", n)
	}
	if found, err := c.Exists(t.Context(), repository(t, w.host+"/octo-org/absent"), tag(t, "1.0.0")); err != nil || found {
		t.Errorf("a missing image: Exists = %t, %v", found, err)
	}
}

func TestDigestIsForgotten(t *testing.T) {
	t.Parallel()
	w := start(t)
	c := client(t, registry.Options{Hosts: w.listed(), Remember: time.Nanosecond})
	for range 2 {
		if found, err := c.Exists(t.Context(), repository(t, w.host+"/octo-org/web"), tag(t, "1.0.0")); err != nil || !found {
			t.Errorf("Exists = %t, %v", found, err)
		}
	}
	if n := w.count("HEAD"); n != 2 {
		t.Errorf("%d HEADs, want 2", n)
	}
}

// wantKind checks the kind of an error and that its text has nothing of the cause.
func wantKind(t *testing.T, err error, kind registry.Kind, says string) {
	t.Helper()
	var e *registry.Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Error(), says) {
		t.Errorf("%v (cause %v), want kind %d and %q", err, errors.Unwrap(err), kind, says)
	}
	if err != nil && strings.Contains(err.Error(), "dial tcp") {
		t.Errorf("%v tells what is inside", err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	w := start(t)
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/v2/" {
				return false
			}
			rw.WriteHeader(code)
			return true
		}
	}
	for name, test := range map[string]struct {
		before func(http.ResponseWriter, *http.Request) bool
		kind   registry.Kind
		says   string
	}{
		"refused":     {status(http.StatusForbidden), registry.Refused, "REGISTRY_AUTH_FILE"},
		"limited":     {status(http.StatusTooManyRequests), registry.Limited, "no more questions"},
		"broken":      {status(http.StatusInternalServerError), registry.Away, "status 500"},
		"no digest":   {status(http.StatusOK), registry.Away, "does not answer"},
		"no registry": {func(rw http.ResponseWriter, _ *http.Request) bool { rw.WriteHeader(http.StatusNotFound); return true }, registry.Away, "status 404"},
		"an answer with no end": {func(rw http.ResponseWriter, r *http.Request) bool {
			rw.WriteHeader(http.StatusUnauthorized)
			chunk := make([]byte, 64<<10)
			for r.Method == http.MethodGet && r.Context().Err() == nil {
				if _, err := rw.Write(chunk); err != nil {
					break
				}
			}
			return true
		}, registry.Refused, ""},
		"redirects in a circle": {func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				http.Redirect(rw, r, r.URL.Path+"x", http.StatusFound)
			}
			return r.Method == http.MethodHead
		}, registry.Away, "does not answer"},
	} {
		w.reset(test.before)
		c := client(t, registry.Options{Hosts: w.listed()})
		_, err := c.Exists(t.Context(), repository(t, w.host+"/octo-org/web"), tag(t, "1.0.0"))
		t.Log(name)
		wantKind(t, err, test.kind, test.says)
		w.mu.Lock()
		if len(w.asked) > 12 {
			t.Errorf("%s: %d requests", name, len(w.asked))
		}
		w.mu.Unlock()
	}
	w.reset(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
	c := client(t, registry.Options{Hosts: w.listed()})
	for _, version := range []string{"1.0.0", "2.0.0"} {
		_, err := c.Exists(t.Context(), repository(t, w.host+"/octo-org/web"), tag(t, version))
		wantKind(t, err, registry.Away, "does not answer")
	}
	if n := w.count("GET /v2/"); n > 2 {
		t.Errorf("a registry that does not answer is asked %d times", n)
	}
	away := client(t, registry.Options{Hosts: []registry.Host{{Name: "127.0.0.1:1", Insecure: true}}})
	_, err := away.Exists(t.Context(), repository(t, "127.0.0.1:1/octo-org/web"), tag(t, "1.0.0"))
	wantKind(t, err, registry.Away, "127.0.0.1:1 does not answer")
}

// A caller who gives up gets an answer at once; the question goes on for the others.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	w := start(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.reset(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead {
			once.Do(func() { close(arrived) })
			<-release
		}
		return false
	})
	c := client(t, registry.Options{Hosts: w.listed()})
	web := repository(t, w.host+"/octo-org/web")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := c.Exists(ctx, web, tag(t, "1.0.0")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	close(release)
	if found, err := c.Exists(t.Context(), web, tag(t, "1.0.0")); err != nil || !found {
		t.Errorf("Exists = %t, %v", found, err)
	}
	if n := w.count("HEAD"); n != 1 {
		t.Errorf("%d HEADs, want 1", n)
	}
}

// Addresses that are not public are for listed hosts, whoever names them.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	w := start(t)
	inside := start(t) // another service of the same network
	port := inside.host[strings.LastIndexByte(inside.host, ':'):]
	challenge := func(realm string) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="octo"`, realm))
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		}
	}
	redirect := func(to string) func(http.ResponseWriter, *http.Request) bool {
		return func(rw http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				http.Redirect(rw, r, to, http.StatusFound)
			}
			return r.Method == http.MethodHead
		}
	}
	for name, test := range map[string]struct {
		hosts  []registry.Host
		image  string
		before func(http.ResponseWriter, *http.Request) bool
		kind   registry.Kind
	}{
		"a registry that is not listed":     {nil, w.host, nil, registry.Private},
		"localhost":                         {nil, "localhost" + w.host[strings.LastIndexByte(w.host, ':'):], nil, registry.Private},
		"listed, and plain":                 {[]registry.Host{{Name: w.host}}, w.host, nil, registry.Plain},
		"a token's realm by http":           {w.listed(), w.host, challenge("http://localhost" + port + "/token"), registry.Plain},
		"a token's realm by https":          {w.listed(), w.host, challenge("https://localhost" + port + "/token"), registry.Private},
		"a redirect by http":                {w.listed(), w.host, redirect("http://localhost" + port + "/v2/octo-org/web/manifests/1.0.0"), registry.Plain},
		"a redirect by https":               {w.listed(), w.host, redirect("https://localhost" + port + "/v2/octo-org/web/manifests/1.0.0"), registry.Private},
		"a realm at another port of a host": {[]registry.Host{{Name: "localhost"}, w.listed()[0]}, w.host, challenge("https://localhost" + port + "/token"), registry.Private},
	} {
		inside.reset(nil)
		w.reset(test.before)
		c := client(t, registry.Options{Hosts: test.hosts})
		_, err := c.Exists(t.Context(), repository(t, test.image+"/octo-org/web"), tag(t, "1.0.0"))
		t.Log(name)
		wantKind(t, err, test.kind, "registries in CONFIG_FILE")
		if n := inside.count(""); n > 0 {
			t.Errorf("%s: the host inside was asked %d times", name, n)
		}
	}
}

// Behind a proxy names are the proxy's to judge, and addresses are not.
func TestProxy(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host
		rw.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(server.Close)
	proxy, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, registry.Options{Proxy: http.ProxyURL(proxy)})
	for host, kind := range map[string]registry.Kind{
		"registry.example.com": registry.Away, "169.254.169.254": registry.Private, "10.0.0.1:5000": registry.Private,
		"[fd00::1]:5000": registry.Private, "localhost:5000": registry.Private,
	} {
		_, err := c.Exists(t.Context(), repository(t, host+"/octo-org/web"), tag(t, "1.0.0"))
		wantKind(t, err, kind, host)
	}
	if got := <-asked; got != "CONNECT registry.example.com:443" || len(asked) > 0 {
		t.Errorf("the proxy got %s and %d more", got, len(asked))
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.reset(func(rw http.ResponseWriter, r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		if user == "octocat" && password == "secret" {
			return false
		}
		rw.Header().Set("WWW-Authenticate", `Basic realm="octo"`)
		rw.WriteHeader(http.StatusUnauthorized)
		return true
	})
	secret := base64.StdEncoding.EncodeToString([]byte("octocat:secret"))
	other := base64.StdEncoding.EncodeToString([]byte("other:secret"))
	web := repository(t, w.host+"/octo-org/web")
	for _, test := range []struct {
		content string
		kind    registry.Kind
	}{
		{`{"auths": {"` + w.host + `": {"auth": "` + secret + `"}}}`, -1},
		{`{"auths": {"https://` + w.host + `/v2/": {"username": "octocat", "password": "secret"}}}`, -1},
		{`{"auths": {"` + w.host + `": {"auth": "` + other + `"}, "` + w.host + `/octo-org": {"auth": "` + secret + `"}}}`, -1},
		{`{"auths": {"` + w.host + `": {"auth": "` + other + `"}}}`, registry.Refused},
		{`{"auths": {"` + w.host + `/octo": {"auth": "` + secret + `"}}}`, registry.Refused},
		{`{}`, registry.Refused},
		{``, registry.Refused},
	} {
		c := client(t, registry.Options{Hosts: w.listed(), Auth: []byte(test.content)})
		found, err := c.Exists(t.Context(), web, tag(t, "1.0.0"))
		switch {
		case test.kind >= 0:
			wantKind(t, err, test.kind, w.host)
		case err != nil || !found:
			t.Errorf("%s: Exists = %t, %v", test.content, found, errors.Unwrap(err))
		}
	}
}

// Credentials stay with the registry: a host that it redirects to gets none.
func TestCredentialsStay(t *testing.T) {
	t.Parallel()
	w, other := start(t), start(t)
	seen := make(chan string, 10)
	other.reset(func(_ http.ResponseWriter, r *http.Request) bool { seen <- r.Header.Get("Authorization"); return false })
	w.reset(func(rw http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Header.Get("Authorization") == "":
			rw.Header().Set("WWW-Authenticate", `Basic realm="octo"`)
			rw.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodHead:
			http.Redirect(rw, r, "http://"+other.host+r.URL.Path, http.StatusFound)
		default:
			return false
		}
		return true
	})
	secret := base64.StdEncoding.EncodeToString([]byte("octocat:secret"))
	c := client(t, registry.Options{Hosts: append(w.listed(), other.listed()...), Auth: []byte(`{"auths": {"` + w.host + `": {"auth": "` + secret + `"}}}`)})
	if found, err := c.Exists(t.Context(), repository(t, w.host+"/octo-org/web"), tag(t, "1.0.0")); err != nil || !found {
		t.Errorf("Exists = %t, %v", found, err)
	}
	if got := <-seen; got != "" {
		t.Errorf("the other host got %q", got)
	}
}

func TestCheckAuth(t *testing.T) {
	t.Parallel()
	if _, err := registry.New(registry.Options{Auth: []byte("x")}); err == nil {
		t.Error("New takes credentials that CheckAuth refuses")
	}
	for content, want := range map[string]string{
		`{"auths": {"ghcr.io": {"auth": "b2N0bzpjYXQ="}}}`: "",
		`{"auths": {}}`:             "",
		`auths: {}`:                 "no Docker config.json",
		`{"credsStore": "desktop"}`: "credHelpers are not run",
		`{"auths": {"ghcr.io": {"auth": "top-secret-text"}}}`: `"ghcr.io"`,
		strings.Repeat(" ", registry.MaxAuthSize+1):           "more than",
	} {
		err := registry.CheckAuth([]byte(content))
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "top-secret")) {
			t.Errorf("CheckAuth(%.60q) = %v, want %q", content, err, want)
		}
	}
}
