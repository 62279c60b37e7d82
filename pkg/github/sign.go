package github

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// Signature is who made a commit.
type Signature struct {
	Name  string
	Email string
}

// signer signs commits with an OpenPGP key. It is safe for concurrent use.
type signer struct {
	key      *openpgp.Entity
	identity Signature
}

// newSigner reads an armoured private key without a passphrase.
func newSigner(armoured string) (*signer, error) {
	keys, err := openpgp.ReadArmoredKeyRing(strings.NewReader(armoured))
	if err != nil || len(keys) != 1 {
		return nil, errors.New("the signing key is not one armoured OpenPGP private key")
	}
	key := keys[0]
	switch {
	case key.PrivateKey == nil:
		return nil, errors.New("the signing key is a public key; the private one is needed")
	case key.PrivateKey.Encrypted:
		return nil, errors.New("the signing key has a passphrase; export it without one")
	}
	s := &signer{key: key}
	if id := key.PrimaryIdentity(); id != nil && id.UserId != nil {
		s.identity = Signature{Name: id.UserId.Name, Email: id.UserId.Email}
	}
	return s, nil
}

// Sign writes the armoured detached signature of what r holds.
func (s *signer) Sign(w io.Writer, r io.Reader) error {
	if err := openpgp.ArmoredDetachSign(w, s.key, r, nil); err != nil {
		return fmt.Errorf("sign the commit: %w", err)
	}
	return nil
}
