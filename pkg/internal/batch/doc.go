// Package batch lets items that come in while work is under way share the next
// piece of it: a commit, or a transaction, takes about as long for many as for one.
//
// A [Batcher] calls its work in one goroutine, never twice at once, and only while
// something waits: an item that comes when nothing is under way starts at once, so
// that nobody waits for company. Items are handed over in the order of their
// arrival, but for those that do not fit the first of a call. What becomes of an item is between its owner and the work; an item
// usually holds a channel for that.
package batch
