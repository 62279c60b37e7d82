// Package cache keeps values that are expensive to get again, up to a total cost, which
// is usually in bytes.
//
// # Model
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
//   - The total cost is never above the bound when a method returns and no other runs.
//   - A value is kept until it is evicted, and never expires. Keys name contents that do
//     not change.
//   - Put does not promise that Get finds the value afterwards.
package cache
