package manifest

// EditUnscreened is Edit without the screen before it, so that a test sees what
// the screen would hide.
func (e *Editor) EditUnscreened(content []byte) Result { return e.edit(content) }

// NeedsQuotes is needsQuotes.
func NeedsQuotes(s string) bool { return needsQuotes(s) }
