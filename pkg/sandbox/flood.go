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
	encode := bytes.Clone
	if f.Flood.Gzip && strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		encode = gzipMember
	}
	w.WriteHeader(status)
	c.record.Status = status
	c.record.ResponseBytes = f.Flood.write(w, encode, func() bool { return c.r.Context().Err() != nil })
	return true
}

// gzipMember compresses a part of an answer by itself: what is repeated is compressed
// once. A gzip file may consist of many members (RFC 1952, section 2.2).
func gzipMember(part []byte) []byte {
	var member bytes.Buffer
	zipped := gzip.NewWriter(&member)
	_, _ = zipped.Write(part) // into memory
	_ = zipped.Close()
	return member.Bytes()
}

// write sends the flood until gone reports that the client has left, and returns the
// number of bytes sent, as they were before encode.
func (f *Flood) write(w io.Writer, encode func([]byte) []byte, gone func() bool) (sent int64) {
	send := func(encoded []byte, plain int) bool {
		_, err := w.Write(encoded)
		sent += int64(plain)
		return err == nil
	}
	if !send(encode([]byte(f.Begin)), len(f.Begin)) || f.Repeat == "" {
		return sent
	}
	chunk := bytes.Repeat([]byte(f.Repeat), max(floodChunk/len(f.Repeat), 1))
	encoded := encode(chunk)
	for left := f.Bytes; f.Bytes == 0 || left > 0; left -= int64(len(chunk)) {
		if gone() || !send(encoded, len(chunk)) {
			return sent
		}
	}
	send(encode([]byte(f.End)), len(f.End))
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
