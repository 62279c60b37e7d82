package sandbox

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
)

// floodChunk is how much of a flood is sent at a time, in bytes.
const floodChunk = 64 << 10

// flooded sends the flood of a fault that strikes, if there is one.
func (c *call) flooded(w http.ResponseWriter) bool {
	i := slices.IndexFunc(c.faults, func(f Fault) bool { return f.Effect == EffectFlood && f.Flood != nil })
	if i < 0 {
		return false
	}
	f := c.faults[i]
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	c.setHeaders(w.Header())
	var to io.Writer = w
	if f.Flood.Gzip && strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		zipped := gzip.NewWriter(w)
		defer func() { _ = zipped.Close() }()
		to = zipped
	}
	w.WriteHeader(status)
	c.record.Status = status
	c.record.ResponseBytes = f.Flood.write(to, func() bool { return c.r.Context().Err() != nil })
	return true
}

// write sends the flood until gone reports that the client has left, and returns the
// number of bytes sent.
func (f *Flood) write(w io.Writer, gone func() bool) (sent int64) {
	send := func(b []byte) bool {
		n, err := w.Write(b)
		sent += int64(n)
		return err == nil
	}
	if !send([]byte(f.Begin)) || f.Repeat == "" {
		return sent
	}
	chunk := bytes.Repeat([]byte(f.Repeat), max(floodChunk/len(f.Repeat), 1))
	for left := f.Bytes; f.Bytes == 0 || left > 0; left -= int64(len(chunk)) {
		if gone() || !send(chunk) {
			return sent
		}
	}
	send([]byte(f.End))
	return sent
}

// tampered is an answer as the faults that strike change it.
func (c *call) tampered(status int, body []byte) (int, []byte) {
	for _, f := range c.faults {
		if f.Effect == EffectTamper && f.Tamper != nil && len(body) > 0 {
			body = f.Tamper(c.r, body)
			if f.Status != 0 {
				status = f.Status
			}
		}
	}
	return status, body
}
