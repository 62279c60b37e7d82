package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox/internal/bare"
)

type verificationJSON struct {
	Verified   bool    `json:"verified"`
	Reason     string  `json:"reason"`
	Signature  *string `json:"signature"`
	Payload    *string `json:"payload"`
	VerifiedAt *string `json:"verified_at"`
}

// signingKeys hold GitHub's own key, made on first use, and the public keys
// that users have uploaded. It is safe for concurrent use.
type signingKeys struct {
	mu   sync.Mutex
	own  *openpgp.Entity
	ring openpgp.EntityList
}

// AddSigningKey makes signatures of an armoured OpenPGP key count as
// verified, as uploading it to a user's settings does.
func (s *Server) AddSigningKey(armoured string) error {
	ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(armoured))
	if err != nil {
		return fmt.Errorf("add signing key: %w: %w", ErrInvalid, err)
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.ring = append(s.keys.ring, ring...)
	return nil
}

// sign signs a commit the way GitHub signs those that an App makes without
// naming an author.
func (k *signingKeys) sign(payload []byte, now time.Time) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return now }}
	if k.own == nil {
		own, err := openpgp.NewEntity("GitHub", "embedded", "noreply@example.com", config)
		if err != nil {
			return "", fmt.Errorf("make the signing key: %w", err)
		}
		k.own, k.ring = own, append(k.ring, own)
	}
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, k.own, bytes.NewReader(payload), config); err != nil {
		return "", fmt.Errorf("sign commit: %w", err)
	}
	return b.String() + "\n", nil
}

func (k *signingKeys) verify(c bare.Commit) verificationJSON {
	if c.PGPSignature == "" {
		return verificationJSON{Reason: "unsigned"}
	}
	payload := string(c.Payload())
	v := verificationJSON{Reason: "valid", Verified: true, Signature: &c.PGPSignature, Payload: &payload}
	k.mu.Lock()
	defer k.mu.Unlock()
	config := &packet.Config{Time: func() time.Time { return c.Committer.When }}
	_, err := openpgp.CheckArmoredDetachedSignature(k.ring, strings.NewReader(payload), strings.NewReader(c.PGPSignature), config)
	switch {
	case err == nil:
		at := c.Committer.When.UTC().Format(dateFormat)
		v.VerifiedAt = &at
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		v.Verified, v.Reason = false, "unknown_key"
	default:
		v.Verified, v.Reason = false, "invalid"
	}
	return v
}
