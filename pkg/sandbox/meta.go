package sandbox

import "net/http"

func getUser(c *call) (*answer, error) {
	t := c.caller.token
	switch {
	case t == nil:
		return nil, requiresAuthentication()
	case t.installation != nil:
		return nil, refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	return &answer{body: c.userJSON(t.Login)}, nil
}

type rateJSON struct {
	Limit     int    `json:"limit"`
	Remaining int    `json:"remaining"`
	Reset     int64  `json:"reset"`
	Used      int    `json:"used"`
	Resource  string `json:"resource"`
}

func getRateLimit(c *call) (*answer, error) {
	limit, used, reset := c.budget()
	core := rateJSON{limit, limit - used, reset.Unix(), used, "core"}
	return &answer{body: map[string]any{"resources": map[string]any{"core": core}, "rate": core}}, nil
}

func getMeta(*call) (*answer, error) {
	return &answer{body: map[string]any{"verifiable_password_authentication": false, "installed_version": "embedded"}}, nil
}

func getZen(*call) (*answer, error) {
	return &answer{raw: []byte("A fake should say that it is one."), contentType: "text/plain; charset=utf-8"}, nil
}
