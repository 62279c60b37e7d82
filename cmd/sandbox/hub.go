package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// hub is the embedded GitHub, listening.
type hub struct {
	url           string
	repositoryDir string
	stop          func() error
}

// startHub serves an embedded GitHub on addr that holds the repository with files.
func startHub(dir, addr string, files sandbox.Files) (*hub, error) {
	server, err := sandbox.New(sandbox.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	repo, err := server.CreateRepository(repository, sandbox.RepositoryOptions{Branch: branch, Empty: true})
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	if _, err := repo.Commit(branch, files, "Start with the manifests as they are deployed"); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	url := browse(listener.Addr())
	web := &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	go func() { _ = web.Serve(listener) }()
	return &hub{
		url:           url,
		repositoryDir: repo.Dir(),
		stop: sync.OnceValue(func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := web.Shutdown(ctx); err != nil {
				_ = web.Close()
			}
			return server.Close()
		}),
	}, nil
}
