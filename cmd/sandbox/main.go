// Command sandbox runs the service in front of an embedded GitHub that holds a
// small infra repository: no token, no network, nothing to install. It is for
// trying the service out and for other people's tests.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}
