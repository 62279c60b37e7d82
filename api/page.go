package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/gin-gonic/gin"
)

//go:embed page
var pageFiles embed.FS

// pageTypes are the media types of the page's files.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// page is the page for people: its files, by their paths.
type page map[string]gin.HandlerFunc

func newPage() (page, error) {
	p := page{}
	err := fs.WalkDir(pageFiles, "page", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := pageFiles.ReadFile(name)
		if err != nil {
			return err
		}
		kind, ok := pageTypes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("the page's file %s has no media type", name)
		}
		for _, route := range pageRoutes(name) {
			p[route] = servePage(content, kind)
		}
		return nil
	})
	return p, err
}

// register adds the files, which need no caller: the page asks for a token when the
// service does.
func (p page) register(engine *gin.Engine) {
	for route, serve := range p {
		engine.GET(route, serve)
	}
}

// pageRoutes returns the paths of a file of the page.
func pageRoutes(name string) []string {
	switch path.Base(name) {
	case "index.html":
		return []string{"/"}
	case "favicon.svg":
		return []string{"/favicon.ico", "/" + name} // browsers ask for the first by themselves
	default:
		return []string{"/" + name}
	}
}

// servePage answers with content, and with 304 to who has it already.
func servePage(content []byte, kind string) gin.HandlerFunc {
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return func(c *gin.Context) {
		header := c.Writer.Header()
		header.Set("Content-Type", kind)
		header.Set("ETag", tag)
		header.Set("Cache-Control", "no-cache")
		http.ServeContent(c.Writer, c.Request, "", time.Time{}, bytes.NewReader(content))
	}
}
