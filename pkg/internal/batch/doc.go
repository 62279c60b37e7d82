// Package batch lets items that arrive while work is under way share the next call of
// it: a commit or a transaction takes about as long for many items as for one.
//
// A [Batcher] calls its work in one goroutine, one call at a time, as long as items
// wait. An item that arrives when nothing is under way starts a call at once. Items are
// handed over in the order of arrival, except those that do not fit the first of a
// call. The work reports the outcome to an item's owner itself, usually by a channel in
// the item.
package batch
