package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// route is one operation of the API.
type route struct {
	method string
	path   string // as GitHub documents it
	doc    string // the page below docsRoot
	need   need
	handle func(*call) (*response, error)
	// free operations cost nothing of the primary limit.
	free bool
	// app operations take an App's JWT in place of a token.
	app bool
	// rest reports that the last parameter may contain slashes.
	rest bool
}

// endpoint is the operation's name in the request log.
func (rt *route) endpoint() string { return strings.TrimSpace(rt.method + " " + rt.path) }

// need is the permission an operation asks for; the zero value is none.
type need struct {
	permission string
	access     Access
}

func (n need) String() string { return n.permission + "=" + string(n.access) }

func operations() []route {
	read, write := need{"contents", Read}, need{"contents", Write}
	metadata := need{"metadata", Read}
	readPulls, writePulls := need{"pull_requests", Read}, need{"pull_requests", Write}
	const (
		repo  = "/repos/{owner}/{repo}"
		pull  = repo + "/pulls/{number}"
		issue = repo + "/issues/{number}"
	)
	return []route{
		{method: "GET", path: repo, doc: "repos/repos#get-a-repository", need: metadata, handle: getRepository},
		{method: "GET", path: repo + "/branches/{branch}", rest: true, doc: "branches/branches#get-a-branch", need: read, handle: getBranch},
		{method: "GET", path: repo + "/rules/branches/{branch}", rest: true, doc: "repos/rules#get-rules-for-a-branch", need: metadata, handle: getBranchRules},
		{method: "GET", path: repo + "/git/ref/{ref}", rest: true, doc: "git/refs#get-a-reference", need: read, handle: getRef},
		{method: "GET", path: repo + "/git/matching-refs/{ref}", rest: true, doc: "git/refs#list-matching-references", need: read, handle: listMatchingRefs},
		{method: "GET", path: repo + "/git/refs/{ref}", rest: true, doc: "git/refs#get-a-reference", need: read, handle: getRefOrMatching},
		{method: "POST", path: repo + "/git/refs", doc: "git/refs#create-a-reference", need: write, handle: createRef},
		{method: "PATCH", path: repo + "/git/refs/{ref}", rest: true, doc: "git/refs#update-a-reference", need: write, handle: updateRef},
		{method: "DELETE", path: repo + "/git/refs/{ref}", rest: true, doc: "git/refs#delete-a-reference", need: write, handle: deleteRef},
		{method: "GET", path: repo + "/git/commits/{commit_sha}", doc: "git/commits#get-a-commit-object", need: read, handle: getCommit},
		{method: "POST", path: repo + "/git/commits", doc: "git/commits#create-a-commit", need: write, handle: createCommit},
		{method: "GET", path: repo + "/git/trees/{tree_sha}", rest: true, doc: "git/trees#get-a-tree", need: read, handle: getTree},
		{method: "POST", path: repo + "/git/trees", doc: "git/trees#create-a-tree", need: write, handle: createTree},
		{method: "GET", path: repo + "/git/blobs/{file_sha}", doc: "git/blobs#get-a-blob", need: read, handle: getBlob},
		{method: "POST", path: repo + "/git/blobs", doc: "git/blobs#create-a-blob", need: write, handle: createBlob},
		{method: "GET", path: repo + "/commits", doc: "commits/commits#list-commits", need: read, handle: listCommits},
		{method: "GET", path: repo + "/compare/{basehead}", rest: true, doc: "commits/commits#compare-two-commits", need: read, handle: compare},
		{method: "GET", path: repo + "/tarball/{ref}", rest: true, doc: "repos/contents#download-a-repository-archive-tar", need: read, handle: getTarball},
		{method: "GET", path: repo + "/pulls", doc: "pulls/pulls#list-pull-requests", need: readPulls, handle: listPulls},
		{method: "POST", path: repo + "/pulls", doc: "pulls/pulls#create-a-pull-request", need: writePulls, handle: createPull},
		{method: "GET", path: pull, doc: "pulls/pulls#get-a-pull-request", need: readPulls, handle: withPull(getPull)},
		{method: "PATCH", path: pull, doc: "pulls/pulls#update-a-pull-request", need: writePulls, handle: withPull(updatePull)},
		{method: "PUT", path: pull + "/merge", doc: "pulls/pulls#merge-a-pull-request", need: write, handle: withPull(mergePull)},
		{method: "PUT", path: pull + "/merge-async", doc: "pulls/pulls#merge-a-pull-request-asynchronously", need: write, handle: withPull(mergePullAsync)},
		{method: "GET", path: pull + "/merge-async/{uuid}", doc: "pulls/pulls#get-the-result-of-an-asynchronous-merge", need: readPulls, handle: withPull(getMergeAsync)},
		{method: "POST", path: pull + "/requested_reviewers", doc: "pulls/review-requests#request-reviewers-for-a-pull-request", need: writePulls, handle: withPull(requestReviewers)},
		{method: "POST", path: issue + "/labels", doc: "issues/labels#add-labels-to-an-issue", need: writePulls, handle: withPull(addLabels)},
		{method: "POST", path: issue + "/assignees", doc: "issues/assignees#add-assignees-to-an-issue", need: writePulls, handle: withPull(addAssignees)},
		{method: "POST", path: issue + "/comments", doc: "issues/comments#create-an-issue-comment", need: writePulls, handle: withPull(addComment)},
		{method: "GET", path: issue + "/comments", doc: "issues/comments#list-issue-comments", need: readPulls, handle: withPull(listComments)},
		{method: "POST", path: repo + "/statuses/{sha}", doc: "commits/statuses#create-a-commit-status", need: need{"statuses", Write}, handle: createStatus},
		{method: "GET", path: repo + "/commits/{ref}/status", doc: "commits/statuses#get-the-combined-status-for-a-specific-reference", need: need{"statuses", Read}, handle: getCombinedStatus},
		{method: "GET", path: repo + "/commits/{ref}/check-runs", doc: "checks/runs#list-check-runs-for-a-git-reference", need: need{"checks", Read}, handle: listCheckRuns},
		{method: "GET", path: repo + "/installation", app: true, doc: "apps/apps#get-a-repository-installation-for-the-authenticated-app", handle: getInstallation},
		{method: "POST", path: "/app/installations/{installation_id}/access_tokens", app: true, doc: "apps/apps#create-an-installation-access-token-for-an-app", handle: createAccessToken},
		{method: "GET", path: "/app/installations/{installation_id}", app: true, doc: "apps/apps#get-an-installation-for-the-authenticated-app", handle: getOwnInstallation},
		{method: "GET", path: "/app", app: true, doc: "apps/apps#get-the-authenticated-app", handle: getApp},
		{method: "GET", path: "/user", doc: "users/users#get-the-authenticated-user", handle: getUser},
		{method: "GET", path: "/rate_limit", free: true, doc: "rate-limit/rate-limit#get-rate-limit-status-for-the-authenticated-user", handle: getRateLimit},
		{method: "GET", path: "/meta", doc: "meta/meta#get-github-meta-information", handle: getMeta},
		{method: "GET", path: "/zen", doc: "meta/meta#get-the-zen-of-github", handle: getZen},
	}
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range operations() {
		path := rt.path
		if rt.rest {
			path = strings.TrimSuffix(path, "}") + "...}"
		}
		mux.Handle(rt.method+" "+path, s.operation(&rt))
	}
	mux.Handle("/", s.operation(&route{path: "(unknown)", handle: unknownRoute}))
	return mux
}

// unknownRoute admits a gap instead of pretending to be GitHub, which would
// answer 404.
func unknownRoute(c *call) (*response, error) {
	if len(c.r.URL.Path) > 1 && strings.HasSuffix(c.r.URL.Path, "/") {
		return nil, &refusal{status: http.StatusNotFound, message: "Not Found", doc: docsRoot}
	}
	return nil, &refusal{
		status: http.StatusNotImplemented, doc: docsRoot,
		message: fmt.Sprintf("The embedded GitHub has no %s %s. The real one may: this is a gap of the embedded one.", c.r.Method, c.r.URL.Path),
	}
}

// resolvePath takes the prefix of an Enterprise Server off, and turns
// /repositories/{id}/…, where redirects of renamed repositories lead, into
// /repos/{owner}/{repo}/….
func (s *Server) resolvePath(r *http.Request) *http.Request {
	path := r.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, "/api/v3/"); ok {
		path = "/" + rest
	}
	if rest, ok := strings.CutPrefix(path, "/repositories/"); ok {
		digits, below, slash := strings.Cut(rest, "/")
		id, err := strconv.ParseInt(digits, 10, 64)
		s.mu.RLock()
		repo := s.byID[id]
		s.mu.RUnlock()
		if err == nil && repo != nil {
			path = "/repos/" + repo.Name()
			if slash {
				path += "/" + below
			}
		}
	}
	if path == r.URL.EscapedPath() {
		return r
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return r
	}
	to := *r
	u := *r.URL
	u.Path, u.RawPath = plain, path
	to.URL = &u
	return &to
}

// findRepository finds the repository that the path names. One that was
// renamed redirects: reads with 301, writes, which must keep their method,
// with 307.
func (c *call) findRepository() error {
	owner, name := c.r.PathValue("owner"), c.r.PathValue("repo")
	if owner == "" {
		return nil
	}
	key := strings.ToLower(owner + "/" + name)
	c.mu.RLock()
	repo, id := c.repos[key], c.renamed[key]
	target := c.byID[id]
	c.mu.RUnlock()
	if repo != nil {
		c.repo = repo
		return nil
	}
	if target == nil || !c.caller.sees(target) {
		return notFound()
	}
	below := strings.SplitN(strings.TrimPrefix(c.r.URL.EscapedPath(), "/"), "/", 4)
	to := c.bases().api + "/repositories/" + strconv.FormatInt(id, 10)
	if len(below) == 4 {
		to += "/" + below[3]
	}
	if c.r.URL.RawQuery != "" {
		to += "?" + c.r.URL.RawQuery
	}
	status, message := http.StatusMovedPermanently, "Moved Permanently"
	if c.writes() {
		status, message = http.StatusTemporaryRedirect, "Temporary Redirect"
	}
	return &refusal{status: status, message: message, header: map[string]string{"Location": to}}
}
