// Package cache keeps values that are expensive to get again, in memory that is bounded
// as a whole.
//
// # Model
//
// A [Budget] is a number of bytes. Several caches share it: each [Cache] maps keys of its
// own to values of one type, and says what a value costs. There is one room for all of
// them. Who is asked often gets more of it, whichever cache it is in.
//
// Caches of large values that are cheap to get again for their size yield: they have what
// the other caches leave of the budget, and an eighth of it in any case.
//
// W-TinyLFU, as in the library github.com/maypok86/otter, decides which values are
// evicted: a new value replaces an older one only if it was requested more often of
// late. So a scan of more values than fit, such as the files of many branches read in
// turn, keeps most of the values that fit, if it is not longer than a few times the
// bound. With the least recently used value evicted, every look-up of such a scan would
// miss.
//
// # Invariants
//
//   - The total cost, reserved memory included, is never above the bound when a method
//     returns and no other runs, unless more than seven eighths are reserved.
//   - A value is kept until it is evicted, and never expires.
//   - Put does not promise that Get finds the value afterwards.
package cache
