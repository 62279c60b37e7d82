package api

import (
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"io/fs"
	"net/http"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5/static"
	"github.com/vearutop/statigz"

	openapi "github.com/refty-yapi/refty-node-versions-service"
)

const (
	docsRoute     = "/docs"
	contractRoute = "/openapi.yaml"
)

// docsPage is the page of Swagger UI. Rendered by a template, as that of package swgui, it
// would have the linker keep every exported method of every type, because a template may
// call any.
//
//go:embed docs/index.html
var docsPage []byte

// inlineScript finds the scripts that the page holds.
var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// docs serves Swagger UI, with all its files from this process.
type docs struct {
	files  http.Handler
	policy string
}

func newDocs() *docs {
	return &docs{
		files:  http.StripPrefix(docsRoute, statigz.FileServer(static.FS)),
		policy: contentPolicy(inlineScript.FindAllSubmatch(docsPage, -1)),
	}
}

// contentPolicy returns the Content-Security-Policy (CSP Level 3) that allows only
// resources of this server and the page's own inline scripts, by their hashes.
func contentPolicy(scripts [][][]byte) string {
	var hashes []string
	for _, s := range scripts {
		sum := sha256.Sum256(s[1])
		hashes = append(hashes, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	return "default-src 'none'; script-src 'self' " + strings.Join(hashes, " ") +
		"; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; " + closedPolicy
}

// register adds Swagger UI and the contract, which need no caller.
func (d *docs) register(engine *gin.Engine) {
	engine.GET(contractRoute, func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openapi.YAML) })
	engine.GET(docsRoute, func(c *gin.Context) {
		c.Header("Content-Security-Policy", d.policy)
		c.Data(http.StatusOK, "text/html; charset=utf-8", docsPage)
	})
	engine.GET(docsRoute+"/*file", func(c *gin.Context) {
		name := c.Param("file")[1:]
		switch {
		case name == "":
			c.Redirect(http.StatusMovedPermanently, docsRoute)
		case !d.holds(name):
			abort(c, errNoRoute)
		default:
			c.Header("Content-Security-Policy", d.policy)
			d.files.ServeHTTP(c.Writer, c.Request)
		}
	})
}

// holds reports whether Swagger UI has a file of that name, which may be compressed.
func (d *docs) holds(name string) bool {
	for _, stored := range []string{name, name + ".gz"} {
		if file, err := fs.Stat(static.FS, stored); err == nil && !file.IsDir() {
			return true
		}
	}
	return false
}
