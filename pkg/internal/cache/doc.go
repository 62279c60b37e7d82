// Package cache keeps values that are expensive to get again, within a bound of
// their cost, which is usually bytes.
//
// # Model
//
// What goes first when the bound is reached is decided by W-TinyLFU, of the library
// github.com/maypok86/otter: a value that comes in takes the place of an older one
// only when it was asked for more often of late. So a scan of more values than fit,
// such as the files of many branches read in turn, leaves most of those that fit in
// place, as long as the scan is no longer than a few times what fits;
// with the least recently used going first, every look-up of such a scan would miss.
//
// # Invariants
//
//   - The cost of the values, as their function tells it, is never above the bound
//     when a method returns and no other runs.
//   - A value is kept until its place is taken: there is no time after which it
//     goes. Keys are names of contents that do not change.
//   - Put does not promise that Get finds the value afterwards.
package cache
