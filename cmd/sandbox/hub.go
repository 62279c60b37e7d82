package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// hub is the embedded GitHub, listening.
type hub struct {
	url           string
	repositoryDir string
	dataDir       string // of the service
	example       example
	kept          bool  // the repository outlives the program
	jobs          *jobs // nil without --oidc
	stop          func() error
}

// startHub serves an embedded GitHub on addr with the repository: the one in dir, or a
// new one with files. On loopback archives have an address of their own, as on
// github.com; elsewhere clients might not reach a second address.
func startHub(dir, addr string, files sandbox.Files) (*hub, error) {
	server, err := sandbox.New(sandbox.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	repo, err := openOrSeed(server, dir, files)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	api, err := listenAndServe(addr, server)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("LISTEN_ADDR: %w", err), server.Close())
	}
	archives := &web{stop: func() error { return nil }}
	if api.loopback {
		if archives, err = listenAndServe("127.0.0.1:0", server.Archives()); err != nil {
			return nil, errors.Join(err, api.stop(), server.Close())
		}
		server.SetURLs("", "", archives.url)
	}
	return &hub{
		url:           api.url,
		repositoryDir: repo.Dir(),
		dataDir:       filepath.Join(dir, "data"),
		stop: func() error {
			return errors.Join(api.stop(), archives.stop(), server.Close())
		},
	}, nil
}

func openOrSeed(server *sandbox.Server, dir string, files sandbox.Files) (*sandbox.Repository, error) {
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(repository)+".git")); err == nil { //nolint:gosec // the user names the folder
		return server.OpenRepository(repository, sandbox.RepositoryOptions{Branch: branch})
	}
	repo, err := server.CreateRepository(repository, sandbox.RepositoryOptions{Branch: branch, Empty: true})
	if err != nil {
		return nil, err
	}
	_, err = repo.Commit(branch, files, "Start with the manifests as they are deployed")
	return repo, err
}

// web is a listening server.
type web struct {
	url      string
	loopback bool
	stop     func() error
}

// ioTimeout bounds the reading of a request; an answer, injected latency included, may
// take ten times that.
const ioTimeout = time.Minute

// stopTimeout bounds the wait for answers under way. It is short because Shutdown waits
// five seconds for a connection that was opened and never used, and clients open some.
const stopTimeout = 200 * time.Millisecond

func listenAndServe(addr string, handler http.Handler) (*web, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: ioTimeout, ReadTimeout: ioTimeout, WriteTimeout: 10 * ioTimeout, IdleTimeout: ioTimeout}
	go func() { _ = server.Serve(listener) }()
	local, _ := listener.Addr().(*net.TCPAddr)
	return &web{url: browse(listener.Addr()), loopback: local != nil && local.IP.IsLoopback(), stop: func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			return server.Close()
		}
		return nil
	}}, nil
}
