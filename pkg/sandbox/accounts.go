package sandbox

import (
	"hash/fnv"
	"net/http"
	"strings"
)

// userID gives each login a number of its own.
func userID(login string) int64 {
	d := fnv.New32a()
	_, _ = d.Write([]byte(login))
	return int64(d.Sum32()>>8) + 1000
}

// account describes a user, an organisation or a bot. Any login is one.
func (c *call) account(login string) map[string]any {
	kind := "User"
	if strings.HasSuffix(login, "[bot]") {
		kind = "Bot"
	}
	id, self, page := userID(login), c.apiURL("users", login), c.bases().pages+"/"+escapePath([]string{login})
	body := map[string]any{
		"login": login, "id": id, "node_id": nodeID("U", id, login), "type": kind, "site_admin": false,
		"url": self, "html_url": page, "avatar_url": page + ".png", "gravatar_id": "",
	}
	for field, path := range map[string]string{
		"events": "/events{/privacy}", "followers": "/followers", "following": "/following{/other_user}",
		"gists": "/gists{/gist_id}", "organizations": "/orgs", "received_events": "/received_events",
		"repos": "/repos", "starred": "/starred{/owner}{/repo}", "subscriptions": "/subscriptions",
	} {
		body[field+"_url"] = self + path
	}
	return body
}

// epoch is the birthday of everything that has none.
const epoch = "2008-01-14T04:33:35Z"

func getUser(c *call) (*response, error) {
	t := c.caller.token
	switch {
	case t == nil:
		return nil, requiresAuthentication()
	case t.installation != nil:
		return nil, refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	body := c.account(t.Login)
	for _, field := range []string{"bio", "company", "email", "hireable", "location", "name"} {
		body[field] = nil
	}
	for _, count := range []string{"followers", "following", "public_gists", "public_repos"} {
		body[count] = 0
	}
	body["blog"], body["created_at"], body["updated_at"], body["user_view_type"] = "", epoch, epoch, "public"
	return &response{body: body}, nil
}
