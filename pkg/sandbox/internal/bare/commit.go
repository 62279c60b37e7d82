package bare

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Signature is who did something and when, to the second and with the offset
// of the clock it was read from.
type Signature struct {
	Name  string
	Email string
	When  time.Time
}

// Commit is a commit. Message is kept byte for byte; nothing is added to its
// end.
type Commit struct {
	Tree      Hash
	Parents   []Hash
	Author    Signature
	Committer Signature
	// PGPSignature is the armoured signature over Payload, or empty.
	PGPSignature string
	Message      string
}

// Encode returns the content of the commit object.
func (c Commit) Encode() []byte { return c.encode(c.PGPSignature) }

// Payload is what a signature is made over: the commit without it.
func (c Commit) Payload() []byte { return c.encode("") }

func (c Commit) encode(signature string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tree %s\n", c.Tree)
	for _, p := range c.Parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n", c.Author, c.Committer)
	if signature = strings.TrimRight(strings.ReplaceAll(signature, "\r\n", "\n"), "\n"); signature != "" {
		fmt.Fprintf(&b, "gpgsig %s\n", strings.ReplaceAll(signature, "\n", "\n "))
	}
	b.WriteByte('\n')
	b.WriteString(c.Message)
	return b.Bytes()
}

// String returns the signature as a commit holds it. As in git, characters
// that would break the line are left out.
func (s Signature) String() string {
	clean := strings.NewReplacer("<", "", ">", "", "\n", "", "\x00", "")
	return fmt.Sprintf("%s <%s> %d %s",
		strings.TrimSpace(clean.Replace(s.Name)), strings.TrimSpace(clean.Replace(s.Email)),
		s.When.Unix(), s.When.Format("-0700"))
}

// Commit returns the commit named h. The error wraps ErrNotFound,
// ErrWrongKind or ErrMalformed.
func (r *Repository) Commit(h Hash) (Commit, error) {
	content, err := r.GetKind(h, KindCommit)
	if err != nil {
		return Commit{}, err
	}
	c, err := decodeCommit(string(content))
	if err != nil {
		return Commit{}, fmt.Errorf("commit %s: %w", h, err)
	}
	return c, nil
}

func decodeCommit(text string) (Commit, error) {
	var c Commit
	header, message, ok := strings.Cut(text, "\n\n")
	if !ok {
		return c, fmt.Errorf("%w: no end of header", ErrMalformed)
	}
	c.Message = message
	// A line that begins with a blank goes on with the one before it.
	header = strings.ReplaceAll(header, "\n ", "\x00")
	for line := range strings.SplitSeq(header, "\n") {
		key, value, _ := strings.Cut(line, " ")
		if err := c.set(key, value); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *Commit) set(key, value string) (err error) {
	switch key {
	case "tree", "parent":
		h, ok := ParseHash(value)
		if !ok {
			return fmt.Errorf("%w: %s %.50q", ErrMalformed, key, value)
		}
		if key == "tree" {
			c.Tree = h
		} else {
			c.Parents = append(c.Parents, h)
		}
	case "author":
		c.Author, err = parseSignature(value)
	case "committer":
		c.Committer, err = parseSignature(value)
	case "gpgsig":
		c.PGPSignature = strings.ReplaceAll(value, "\x00", "\n") + "\n"
	}
	return err
}

func parseSignature(s string) (Signature, error) {
	name, rest, ok := strings.Cut(s, "<")
	email, date, ok2 := strings.Cut(rest, ">")
	seconds, zone, ok3 := strings.Cut(strings.TrimSpace(date), " ")
	unix, err := strconv.ParseInt(seconds, 10, 64)
	offset, err2 := time.Parse("-0700", zone)
	if !ok || !ok2 || !ok3 || err != nil || err2 != nil {
		return Signature{}, fmt.Errorf("%w: signature %.100q", ErrMalformed, s)
	}
	return Signature{strings.TrimSpace(name), email, time.Unix(unix, 0).In(offset.Location())}, nil
}
