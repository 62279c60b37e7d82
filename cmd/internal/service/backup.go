package service

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/mattn/go-isatty"

	"github.com/refty-yapi/refty-node-versions-service/pkg/queue"
)

const backupHelp = `Writes a copy of the queue's SQLite file, which DATABASE_URL or DATA_DIR names, to the
standard output, while the service may run: updates, history and holds of one moment. To
restore it, stop the service, remove the file and those whose names begin with its name, put
the copy in its place, and start the service. PostgreSQL has pg_dump for that.`

// backup needs no other variable than those of the store.
func backup(ctx context.Context, env Environment, stdout, stderr io.Writer) int {
	if file, ok := stdout.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		fmt.Fprintln(stderr, "versions-service: backup: the copy is no text; write it to a file: versions-service backup > FILE")
		return exitMisused
	}
	settings, err := readStore(env)
	if err != nil {
		fmt.Fprintf(stderr, "versions-service: backup: %v\n", err)
		return exitMisused
	}
	if err := queue.Backup(ctx, settings.StoreURL, stdout); err != nil {
		fmt.Fprintf(stderr, "versions-service: backup: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// readStore reads the variables that say where the queue is.
func readStore(env Environment) (Settings, error) {
	var s Settings
	for _, v := range serviceVariables() {
		if !slices.Contains([]string{"DATA_DIR", "DATABASE_URL"}, v.name) {
			continue
		}
		text, err := v.read(env, readFile)
		if err != nil {
			return s, err
		}
		if text != "" {
			if err := v.set(&s, text); err != nil {
				return s, fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	s.findStore()
	return s, nil
}
