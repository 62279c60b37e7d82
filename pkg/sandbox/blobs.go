package sandbox

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

type blobJSON struct {
	SHA      string `json:"sha"`
	NodeID   string `json:"node_id"`
	Size     int    `json:"size"`
	URL      string `json:"url"`
	Content  string `json:"content"`
	Encoding string `json:"encoding"`
}

type createdJSON struct {
	SHA string `json:"sha"`
	URL string `json:"url"`
}

// maxBlob is the largest blob that GitHub hands out.
const maxBlob = 100 << 20

func getBlob(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	h, err := hashField("sha", c.r.PathValue("file_sha"))
	if err != nil {
		return nil, err
	}
	content, err := c.repo.git.GetKind(h, bare.KindBlob)
	if errors.Is(err, bare.ErrWrongKind) {
		return nil, notFound()
	}
	if err != nil {
		return nil, err
	}
	if len(content) > maxBlob {
		return nil, refuse(http.StatusForbidden, "This API returns blobs up to 100 MB in size. The requested blob is too large to fetch via the API.")
	}
	if c.accepts("raw") && !c.set.Base64Blobs {
		if content == nil {
			content = []byte{}
		}
		return &response{raw: content, contentType: "application/vnd.github.raw+json; charset=utf-8", version: h.String()}, nil
	}
	return &response{body: blobJSON{
		SHA: h.String(), NodeID: nodeID("B", c.repo.id, h.String()), Size: len(content),
		URL: c.repoURL("git/blobs", h.String()), Content: encodeLines(content), Encoding: "base64",
	}}, nil
}

// lineColumns is where GitHub breaks base64.
const lineColumns = 60

// encodeLines writes base64 in lines, each with a newline at its end.
func encodeLines(content []byte) string {
	all := base64.StdEncoding.EncodeToString(content)
	var b strings.Builder
	for len(all) > 0 {
		n := min(lineColumns, len(all))
		b.WriteString(all[:n])
		b.WriteByte('\n')
		all = all[n:]
	}
	return b.String()
}

func createBlob(c *call) (*response, error) {
	if err := c.refuseEmpty(); err != nil {
		return nil, err
	}
	f, err := parseFields(c.body)
	if err != nil {
		return nil, err
	}
	text, err := f.text("content")
	if err != nil {
		return nil, err
	}
	encoding, err := f.textOr("encoding", "utf-8")
	if err != nil {
		return nil, err
	}
	content := []byte(text)
	if encoding == "base64" { // any other counts as text
		if content, err = decodeLines(text); err != nil {
			return nil, invalid("content is not valid Base64")
		}
	}
	h, err := c.repo.git.Put(bare.KindBlob, content)
	if err != nil {
		return nil, err
	}
	url := c.repoURL("git/blobs", h.String())
	return &response{status: http.StatusCreated, body: createdJSON{h.String(), url}, location: url}, nil
}

// decodeLines reads base64 with or without line breaks.
func decodeLines(text string) ([]byte, error) {
	text = strings.NewReplacer("\n", "", "\r", "", " ", "").Replace(text)
	content, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(content), nil
}
