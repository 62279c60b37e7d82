// Package safetext makes text of unknown origin safe to show: in a log line, an error,
// an answer or a column of the store.
//
// # Model
//
// There are two forms. [Line] is for a whole sentence, such as an error of GitHub or of
// a library. [Quote] is for a value inside a sentence of this service, such as the name
// of a misspelt field.
//
// # Invariants
//
//   - A result has one line and is valid UTF-8. Every rune of it is printable
//     (unicode.IsPrint): no control character, no escape sequence, no character
//     that is invisible or changes the direction of what follows.
//   - The caller bounds the length of the result of [Line], and how much of the text
//     [Quote] shows. An ellipsis marks a cut.
//   - The cost is bounded by that length, except for leading white space.
//
// Text that a program parses later must not pass through this package, which drops
// information.
package safetext
