package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/inventory"
)

// view is an answer with an entity tag, which depends on who asks.
type view struct {
	etag  string
	media string
	// unchanged is set when the caller has this very answer.
	unchanged bool
	// write writes the body.
	write func(w http.ResponseWriter) error
}

// newView encodes the body, whose hash is the entity tag.
func newView(g *gin.Context, body any) (view, error) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		return view{}, err
	}
	sum := sha256.Sum256(b.Bytes())
	v := view{etag: entityTag(sum), media: mediaJSON, write: func(w http.ResponseWriter) error {
		_, err := w.Write(b.Bytes())
		return err
	}}
	v.unchanged = tagged(g.GetHeader("If-None-Match"), v.etag)
	return v, nil
}

// entityTag returns a strong one (RFC 9110, section 8.8.3) of 128 bits.
func entityTag(sum [sha256.Size]byte) string { return `"` + hex.EncodeToString(sum[:16]) + `"` }

// tagged reports whether the value of If-None-Match names the entity tag.
func tagged(header, etag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimPrefix(strings.TrimSpace(candidate), "W/")
		if candidate == etag || candidate == "*" {
			return true
		}
	}
	return false
}

// VisitListImagesResponse sends the answer.
func (v view) VisitListImagesResponse(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("ETag", v.etag)
	h.Set("Vary", "Accept, Authorization")
	h.Set("Cache-Control", "private, no-cache")
	if v.unchanged {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", v.media)
	w.WriteHeader(http.StatusOK)
	return v.write(w)
}

// imagesTable returns the references as a table that is written while it is found. Its
// entity tag is that of the branches, the request and who asks.
func (s *server) imagesTable(g *gin.Context, look *imagesLook) (ListImagesResponseObject, error) {
	ctx, spending := github.WithSpending(g.Request.Context())
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	look.query.Unread = nil // a table has no place for it
	look.query.After = inventory.Position{}
	seen := s.images.Look()
	standing, err := seen.Standings(ctx, look.query)
	if err != nil {
		cancel()
		return nil, &lookError{err}
	}
	p := principalOf(g)
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q %+v", s.views, p.Names(), p.Claims(), g.Request.URL.Query(), standing)
	v := view{etag: entityTag([sha256.Size]byte(sum.Sum(nil))), media: mediaCSV + "; charset=utf-8; header=present"}
	v.unchanged = tagged(g.GetHeader("If-None-Match"), v.etag)
	if v.unchanged {
		cancel()
		note(g, slog.Int("github_requests", int(spending.Requests())))
		return v, nil
	}
	v.write = func(w http.ResponseWriter) error {
		defer cancel()
		err := writeTable(w, seen.References(ctx, look.query))
		note(g, slog.Int("github_requests", int(spending.Requests())))
		if err != nil {
			note(g, slog.String("cut_off", err.Error()))
			panic(http.ErrAbortHandler) // so that nobody takes a part for the whole
		}
		return nil
	}
	return v, nil
}

// tableHeader names the columns of the table.
var tableHeader = []string{"image", "name", "target", "repository", "branch", "path", "line", "column", "pointer", "version", "digest", "state"}

func writeTable(w http.ResponseWriter, references iter.Seq2[inventory.Reference, error]) error {
	table := csv.NewWriter(w)
	if err := table.Write(tableHeader); err != nil {
		return err
	}
	for r, err := range references {
		if err != nil {
			return err
		}
		row := []string{
			r.Image, r.Name, r.Target, r.Repo.String(), r.Branch, r.Path, strconv.Itoa(r.Line), strconv.Itoa(r.Column),
			r.Pointer, r.Version, r.Digest, r.State,
		}
		if err := table.Write(row); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}
