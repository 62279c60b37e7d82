package api

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	openapi "github.com/refty-yapi/refty-node-versions-service"
)

const (
	docsRoute     = "/docs"
	contractRoute = "/openapi.yaml"
)

// inlineScript finds the scripts that Swagger UI's page holds.
var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// docs serves Swagger UI, with all its files from this process.
type docs struct {
	ui     http.Handler
	policy string
}

func newDocs() (*docs, error) {
	ui := v5emb.NewHandlerWithConfig(swgui.Config{
		Title:       "refty-node-versions-service",
		SwaggerJSON: contractRoute,
		BasePath:    docsRoute,
		SettingsUI: map[string]string{
			"tryItOutEnabled":      "true",
			"persistAuthorization": "false",
		},
	})
	page := httptest.NewRecorder()
	ui.ServeHTTP(page, httptest.NewRequest(http.MethodGet, docsRoute, nil))
	scripts := inlineScript.FindAllStringSubmatch(page.Body.String(), -1)
	if page.Code != http.StatusOK || len(scripts) == 0 {
		return nil, fmt.Errorf("render Swagger UI: status %d, %d scripts", page.Code, len(scripts))
	}
	return &docs{ui: ui, policy: contentPolicy(scripts)}, nil
}

// contentPolicy returns the Content-Security-Policy (CSP Level 3) that allows only
// resources of this server and the page's own inline scripts, by their hashes.
func contentPolicy(scripts [][]string) string {
	var hashes []string
	for _, s := range scripts {
		sum := sha256.Sum256([]byte(s[1]))
		hashes = append(hashes, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	return "default-src 'none'; script-src 'self' " + strings.Join(hashes, " ") +
		"; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; " + closedPolicy
}

// register adds Swagger UI and the contract, which need no caller.
func (d *docs) register(engine *gin.Engine) {
	engine.GET(contractRoute, func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openapi.YAML) })
	engine.GET(docsRoute, d.serve)
	engine.GET(docsRoute+"/*file", d.serve)
}

func (d *docs) serve(c *gin.Context) {
	c.Header("Content-Security-Policy", d.policy)
	d.ui.ServeHTTP(c.Writer, c.Request)
}
