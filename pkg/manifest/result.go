package manifest

import "github.com/refty-yapi/refty-node-versions-service/pkg/image"

// Result is what an Editor made of one file.
type Result struct {
	// Content is the edited file, or the very slice that was given when there is
	// nothing to change.
	Content []byte
	// Changes are the references that were moved, in file order.
	Changes []Change
	// Current are the references that have the wanted version already, in file
	// order: they tell an unchanged file from one that does not name the image.
	Current []Found
	// Skips are the references that were left alone, in file order.
	Skips []Skip
	// Namings are the pairs that name an image, in file order, whatever became of
	// them: the version of one may stand in another file.
	Namings []Naming
}

// Place says where in a file something stands.
type Place struct {
	// Document is the index of the YAML document, from 0; 0 where no parser could
	// tell.
	Document int
	// Line and Column count from 1, the column in characters. They point at the
	// first character of the reference or, where name and version are fields of
	// their own, of the version.
	Line, Column int
	// Pointer is the JSON pointer (RFC 6901) of the scalar inside its document. It
	// is empty where no parser could give one, where a key on the way is not a
	// scalar, and where it would be longer than MaxPointer.
	Pointer string
}

// Change is one reference that was moved.
type Change struct {
	Place
	// Update is the index of the update that asked for it.
	Update int
	// From and To are the versions; From is empty where there was none. Both are
	// empty where only a digest was moved.
	From, To string
	// FromDigest and ToDigest are the digests; empty means none.
	FromDigest, ToDigest string
	// Splices are the bytes that differ, in file order. Changes of pairs that share
	// an anchored digest have a splice in common.
	Splices []Splice
}

// Splice is one replaced piece of a file.
type Splice struct {
	// Start and End are byte offsets into the content that was given.
	Start, End int
	// Text stands there now.
	Text string
}

// Found is a reference that has the wanted version.
type Found struct {
	Place
	// Update is the index of the update that asked for it.
	Update int
	// Tag and Digest are as the file has them; empty means none.
	Tag, Digest string
}

// Skip is one reference, or a whole file, that was left alone.
type Skip struct {
	Place
	// Update is the index of the update that asked for the reference, or -1 when
	// the skip is about the file.
	Update int
	// Image is the repository where it is known.
	Image image.Repository
	// Reason is why it was left alone.
	Reason Reason
}

// Reason is a short, stable word for why a reference was left alone.
type Reason string

// The reasons for a skip.
const (
	// Templated: the reference holds {{ }} or another placeholder, so that it is not
	// literal.
	Templated Reason = "templated"
	// Variable: the reference holds ${…}, $(…) or $NAME, or is the default of one.
	Variable Reason = "variable"
	// Symlink: the path is a symbolic link. This package never sees one; the word
	// is for callers that do.
	Symlink Reason = "symlink"
	// NotUTF8: the file is not UTF-8, so that no parser may be trusted with it.
	NotUTF8 Reason = "not_utf8"
	// Unparsable: no YAML parser takes the file and the line is not a whole literal
	// image line.
	Unparsable Reason = "unparsable"
	// TooLarge: the file is over MaxSize, has more than MaxReferences, or would make
	// a tree out of proportion to its size.
	TooLarge Reason = "too_large"
	// Untagged: the reference has no version, and writing one there is not safe.
	Untagged Reason = "untagged"
	// Ambiguous: the text may not be a reference to the image, such as redis:6379.
	Ambiguous Reason = "ambiguous"
	// Output: the reference is what a build makes, tags, pushes, caches or signs, not
	// one that is used.
	Output Reason = "output"
	// SeveralVersions: a list holds the image at several versions to choose from. It is
	// told once for each list, at its first reference.
	SeveralVersions Reason = "several_versions"
	// Signed: the file holds a signature or a checksum over its own content, or is a
	// lock file of digests.
	Signed Reason = "signed"
	// DigestOnly: only a digest stands there and the update carries none, so that the
	// pin would be lost.
	DigestOnly Reason = "digest_only"
	// DigestUnknown: Options.Pin asks for a digest and the update has none.
	DigestUnknown Reason = "digest_unknown"
	// Unpinnable: Options.Pin asks for a digest, and nothing but a version can stand
	// there, such as that of a chart.
	Unpinnable Reason = "unpinnable"
	// SharedAnchor: the value is anchored and serves something else too.
	SharedAnchor Reason = "shared_anchor"
	// Escaped: the reference is spelled with escapes, or is a pair in a text that is
	// itself quoted or inside of a text.
	Escaped Reason = "escaped"
	// OtherVersion: the version that stands there is not one that Update.Present asks for.
	OtherVersion Reason = "other_version"
	// Overrides: the version stands in another file than the name, whose pair it
	// overrides, and the caller asked for a report alone.
	Overrides Reason = "override"
	// OverrideAmbiguous: like Overrides, but pairs of several images may be meant.
	OverrideAmbiguous Reason = "override_ambiguous"
	// Held: a comment "versions-service: hold" freezes the reference or the file.
	Held Reason = "held"
	// Unverified: the edited file did not read back as intended, so that it was
	// thrown away. No input is known that leads here.
	Unverified Reason = "unverified"
)
