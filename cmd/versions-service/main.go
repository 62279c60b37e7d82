// Command versions-service sets an image to a version in every manifest of a
// GitHub repository, on one HTTP call and in one commit.
package main

import (
	"context"
	"os"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

// Set with -ldflags "-X main.version=… -X main.commit=… -X main.date=…".
var version, commit, date string

func main() {
	build := service.Build{Version: version, Commit: commit, Date: date}
	os.Exit(build.Main(context.Background(), os.Args[1:], service.ParseEnvironment(os.Environ()), os.Stdout, os.Stderr))
}
