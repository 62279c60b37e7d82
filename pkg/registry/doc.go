// Package registry asks container registries whether a tag exists, and which digest it
// has.
//
// # Model
//
// A [Client] answers a question with one HEAD of the tag's manifest, after what the
// registry's authentication needs. An index of several platforms has a digest of its
// own, which is the answer. A tag that exists is remembered for a minute; one that does
// not exist is asked for again. Questions for the same tag share one request.
//
// # Whom it asks
//
// The image's name says which host is asked, and that host's answers may name others,
// by redirects and by the realm of its tokens. So each request goes through package guard,
// which refuses addresses that are not public unless their host is one of [Options.Hosts].
//
// # Bounds
//
// A question takes at most ten seconds and twelve requests, an answer at most a
// mebibyte. Sixteen questions are asked at once.
//
// # Credentials
//
// They come from a Docker config.json, whose auths are read; the programs of
// credsStore and credHelpers are not run, and keychains of clouds are not asked.
package registry
