package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

// onceTimeout bounds each request of --once.
const onceTimeout = time.Minute

// once sends the example request to the service, prints its answer and the
// commit, and fails when nothing was committed.
func once(ctx context.Context, hub *hub, env service.Environment, stdout, stderr io.Writer) (err error) {
	quiet := service.Environment{}
	maps.Copy(quiet, env)
	delete(quiet, "API_TOKENS") // there is no other caller
	delete(quiet, "API_TOKENS_FILE")
	quiet["LISTEN_ADDR"] = "127.0.0.1:0"
	quiet["LOG_LEVEL"] = cmp.Or(env["LOG_LEVEL"], "warn")
	quiet = environment(hub, quiet)
	if quiet["AUTH"] == "" {
		return errors.New("--once sends its request without a token: leave callers and rules out of CONFIG_FILE")
	}
	svc, err := start(quiet, stderr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- svc.Run(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-served)
	}()

	fmt.Fprintf(stdout, "POST /v1/updates %s\n\n", hub.example.body())
	status, location, err := post(ctx, browse(svc.Addr())+"/v1/updates", hub.example.body(), stdout)
	if err != nil {
		return err
	}
	if status != http.StatusCreated {
		return fmt.Errorf("nothing was committed, the answer's status is %d", status)
	}
	patch, err := get(ctx, location)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\n%s\n", patch)
	if hub.kept {
		fmt.Fprintf(stdout, "See it in git: git -C %s log -p\n", hub.repositoryDir)
	}
	return nil
}

// post sends the example request and prints the answer.
func post(ctx context.Context, url, body string, stdout io.Writer) (status int, location string, err error) {
	ctx, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, answer, err := do(request)
	if err != nil {
		return 0, "", err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, answer, "", "  "); err != nil {
		return 0, "", fmt.Errorf("read the answer: %w", err)
	}
	fmt.Fprintf(stdout, "%s\n%s", response.Status, pretty.Bytes())
	return response.StatusCode, response.Header.Get("Location"), nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, onceTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, body, err := do(request)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d", url, response.StatusCode)
	}
	return body, err
}

func do(request *http.Request) (*http.Response, []byte, error) {
	client := &http.Client{}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}
