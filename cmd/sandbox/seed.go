package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// infra is the sample repository.
//
//go:embed all:infra
var infra embed.FS

// The modes of git for what a folder holds.
const (
	modeFile       = "100644"
	modeExecutable = "100755"
	modeSymlink    = "120000"
)

// seed reads the files of a folder, or of the built-in sample when dir is empty.
func seed(dir string) (sandbox.Files, error) {
	if dir == "" {
		sample, err := fs.Sub(infra, "infra")
		if err != nil {
			return nil, err
		}
		return readFiles(sample, nil)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("--from: %s is not a folder", dir)
	}
	files, err := readFiles(os.DirFS(dir), func(path string) (string, error) {
		return os.Readlink(filepath.Join(dir, filepath.FromSlash(path)))
	})
	if err == nil && len(files) == 0 {
		err = errors.New("the folder is empty")
	}
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	return files, nil
}

// readFiles takes every file but git's own. readlink gives a symbolic link's
// target; nil for a tree without links.
func readFiles(tree fs.FS, readlink func(string) (string, error)) (sandbox.Files, error) {
	files := sandbox.Files{}
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == ".git":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			target, err := readlink(path)
			files[path] = sandbox.File{Content: []byte(target), Mode: modeSymlink}
			return err
		case !d.Type().IsRegular():
			return nil
		}
		return readFile(tree, path, d, files)
	})
	return files, err
}

func readFile(tree fs.FS, path string, d fs.DirEntry, files sandbox.Files) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	content, err := fs.ReadFile(tree, path)
	if err != nil {
		return err
	}
	mode := modeFile
	if info.Mode()&0o100 != 0 {
		mode = modeExecutable
	}
	files[path] = sandbox.File{Content: content, Mode: mode}
	return nil
}
