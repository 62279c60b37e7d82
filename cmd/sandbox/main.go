// Command sandbox runs the service in front of an embedded GitHub that holds a
// small infra repository: no token, no network, nothing to install. It is for trying
// the service out, and for tests of other programs.
package main

import (
	"context"
	"os"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], service.ParseEnvironment(os.Environ()), os.Stdout, os.Stderr))
}
