package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/image"
)

// maxMessage bounds a message's template in bytes.
const maxMessage = 4096

// Message is the template of a commit's message, of one line or several. In it
// {image} is the image's name as it was asked for, {name} its last component,
// {version} the tag and {digest} the digest, which may be empty. The zero value
// is no template.
type Message struct{ template string }

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

// ParseMessage reads a template. It refuses unknown placeholders, control
// characters and more than 4096 bytes. Blanks around it are cut off; a brace
// without its partner is text.
func ParseMessage(text string) (Message, error) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	switch {
	case text == "":
		return Message{}, errors.New("the message is empty")
	case len(text) > maxMessage:
		return Message{}, fmt.Errorf("the message has more than %d bytes", maxMessage)
	case hasControl(strings.NewReplacer("\n", "", "\t", "").Replace(text)):
		return Message{}, errors.New("the message holds a control character")
	}
	for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
		switch match[1] {
		case "image", "name", "version", "digest":
		default:
			return Message{}, fmt.Errorf("%s is no placeholder; there are {image}, {name}, {version} and {digest}", quote(match[0]))
		}
	}
	return Message{template: text}, nil
}

// String returns the template.
func (m Message) String() string { return m.template }

// IsZero reports whether there is no template.
func (m Message) IsZero() bool { return m.template == "" }

// Fill returns the template with its placeholders filled in.
func (m Message) Fill(repo image.Repository, tag image.Tag, digest image.Digest) string {
	return strings.NewReplacer(
		"{image}", repo.String(),
		"{name}", repo.Base(),
		"{version}", tag.String(),
		"{digest}", digest.String(),
	).Replace(m.template)
}
