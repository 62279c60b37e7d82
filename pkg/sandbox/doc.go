// Package sandbox is an embedded GitHub: an http.Handler that speaks the part
// of GitHub's REST API that reads a branch, commits to it and proposes pull
// requests, on real git repositories on disk. Programs are tried on it and tests run against it.
//
//	sb, err := sandbox.New(sandbox.Options{Dir: dir})
//	repo, err := sb.CreateRepository("octo-org/infra", sandbox.RepositoryOptions{})
//	repo.Commit("main", sandbox.Files{"a.yaml": {Content: []byte("image: a:1\n")}}, "Add a")
//	http.ListenAndServe("127.0.0.1:8081", sb) // Authorization: Bearer sandbox
//
// # What is true
//
// Objects are git's own, in DIR/owner/name.git: names, bytes and formats are
// those of the git command line, which may clone, push, pack and check the
// folder at any time. References move atomically, against git processes too.
// Statuses, texts, headers and the shape of errors are GitHub's wherever its
// documentation, its published description or recordings of it tell; they are
// tested over HTTP.
//
// # What is not
//
// An operation that is not implemented answers 501 and says so, because GitHub's 404
// would hide the gap. What GitHub does when two entries of one new tree contradict each
// other, and which requests its secondary limits count, is not published; the
// comments at those places say which reading was taken. There are no users,
// no pages but a commit's and no webhooks. Pull requests come from branches of the
// repository itself; reviews and check runs are set by a test, and what GitHub does in the
// background is done when somebody looks after its time has come.
//
// # Credentials
//
// The token `sandbox` may do everything. [Server.AddToken] adds others: with
// fewer permissions, fewer repositories, an end, or an organisation that wants
// single sign-on. [Server.AddApp] and [Server.Install] make GitHub Apps, whose
// commits without an author are signed and verified. [Server.Suspend],
// [Server.Uninstall] and [Server.RevokeTokens] take their tokens away.
//
// # Trouble
//
// Three kinds of switches make it as unpleasant as the real one, all of them
// while it runs:
//
//   - [Settings], by [Server.Configure]: what the server is like for every
//     request. Latency, where listings are truncated, stale reads, a server
//     that speaks less, the rate limiter (off at first).
//   - [Fault], by [Server.Inject]: what happens to some requests, chosen by
//     method, operation, token, number and chance. Lost races, limits,
//     refusals, a competitor's push; a 502, a dropped connection or silence
//     before or after the operation took effect; answers without an end, answers
//     that were tampered with, a proxy's page.
//   - The state of a [Repository]: private, archived, protected, empty,
//     renamed, pushed to, rewound, with another default branch.
//
// [Server.Requests] and [Server.Counts] tell what it all cost.
//
// # Orders over HTTP
//
// The same switches are there below /_sandbox/ for users of a program that
// serves a Server. Orders with a body must come as application/json.
//
//	GET    /_sandbox/requests                      counts, requests and archive downloads
//	DELETE /_sandbox/requests                      forget them
//	GET    /_sandbox/settings                      the Settings
//	PATCH  /_sandbox/settings                      {"latency":"40ms","limiter":{"on":true}}
//	GET    /_sandbox/faults                        the faults and how often they struck
//	POST   /_sandbox/faults                        {"effect":"lost_race","times":1}
//	DELETE /_sandbox/faults, /_sandbox/faults/{id} end all, or one
//	GET    /_sandbox/repositories                  names, folders and states
//	PATCH  /_sandbox/repositories/{owner}/{repo}   {"archived":true,"protection":{"main":{"ruleset":true}}}
//	POST   /_sandbox/repositories/{owner}/{repo}/commits
//	                                               {"branch":"main","message":"m","files":{"a.yaml":"text"}}
//	GET    /_sandbox/repositories/{owner}/{repo}/pulls
//	PATCH  /_sandbox/repositories/{owner}/{repo}/pulls/{number}
//	                                               {"state":"closed"}, {"merge":"squash"} or {"approve":"LOGIN"}
//	POST   /_sandbox/tokens                        {"secret":"reader","permissions":{"contents":"read"}}
//	POST   /_sandbox/reset                         requests, faults, settings and spent limits as at first
//
// A fault's effect is one of the [Effect] constants or a ready-made refusal:
// lost_race, not_fast_forward, update_failed, no_reference,
// tree_not_replicated, tree_timeout, bad_credentials, missing_permission,
// not_visible, empty_repository, archived, branch_protected, ruleset,
// locked_branch, secret_detected, bare_error_string. Fields beside it override the ready-made ones.
//
// # For maintainers
//
// The package imports neither a GitHub client nor any other package of this
// module but its own: a misreading of GitHub shared by both sides would cancel
// itself out in every test. A test holds that.
package sandbox
