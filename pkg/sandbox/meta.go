package sandbox

type rateJSON struct {
	Limit     int    `json:"limit"`
	Remaining int    `json:"remaining"`
	Reset     int64  `json:"reset"`
	Used      int    `json:"used"`
	Resource  string `json:"resource"`
}

func getRateLimit(c *call) (*response, error) {
	limit, used, reset := c.budget()
	core := rateJSON{limit, limit - used, reset.Unix(), used, "core"}
	search := rateJSON{30, 30, reset.Unix(), 0, "search"} // required of every answer, and never spent
	return &response{body: map[string]any{"resources": map[string]any{"core": core, "search": search}, "rate": core}}, nil
}

func getMeta(*call) (*response, error) {
	return &response{body: map[string]any{"verifiable_password_authentication": false, "installed_version": "embedded"}}, nil
}

func getZen(*call) (*response, error) {
	return &response{raw: []byte("A fake should say that it is one."), contentType: "text/plain; charset=utf-8"}, nil
}
