package github

import (
	"errors"
	"net/http"
)

// identity is who the client is to GitHub.
type identity struct {
	credential Credential
	session    session
	author     *Signature // of the commits; nil leaves it to GitHub
	signer     *signer    // nil: commits are not signed here
}

// Become replaces the credential, and the key that signs commits; an empty one means
// none. Every request that is sent from then on is the new one's; requests that are
// under way keep theirs. The error is that of NewClient, and nothing is replaced then.
func (c *Client) Become(credential Credential, signingKey string) error {
	next := &identity{credential: credential, author: c.author}
	var err error
	if signingKey != "" {
		if next.signer, err = newSigner(signingKey); err != nil {
			return err
		}
		if next.author == nil {
			next.author = &next.signer.identity
		}
	}
	if credential == nil {
		return errors.New("a credential is needed")
	}
	if next.session, err = credential.connect(c.wiring); err != nil {
		return err
	}
	c.identity.Store(next)
	c.budgets.become(credential)
	return nil
}

// asIdentity is the layer of the credential that the client has at the moment.
type asIdentity struct{ client *Client }

// RoundTrip implements http.RoundTripper.
func (a asIdentity) RoundTrip(req *http.Request) (*http.Response, error) {
	return a.client.identity.Load().session.RoundTrip(req)
}
