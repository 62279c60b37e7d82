// Package safetext makes text of unknown origin fit to be shown: in a log line,
// an error, an answer or a column of the store.
//
// # Model
//
// There are two forms. [Line] is for sentences of others, such as an error that
// GitHub or a library returned. [Quote] is for a value of others inside a sentence
// of ours, such as a misspelt field.
//
// # Invariants
//
//   - A result has one line and is valid UTF-8. Every rune of it is printable
//     (unicode.IsPrint): no control character, no escape sequence, no character
//     that is invisible or changes the direction of what follows.
//   - A result of [Line] is at most as long as its caller says, and one of [Quote]
//     shows at most so much of the text. An ellipsis marks where either was cut.
//   - The cost is bounded by that length, but for white space at the beginning.
//
// What a program parses again must not go through this package: information is lost.
package safetext
