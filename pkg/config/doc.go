// Package config reads the service's configuration file: which branches it
// writes to, and which registries may tell it of a push.
//
// # Model
//
// A [File] is a list of targets, a list of webhook sources and a few figures.
// testdata/full.yaml shows every key with what it means. Left out, a list is
// empty and a figure is zero, which stands for the default of the package whose
// figure it is.
//
// # Strictness
//
// A configuration that is nearly right is worse than one that is refused. So
// [Parse] refuses unknown keys and keys that are given twice, values of another
// type, empty values and lists, names that are given twice, globs that can match
// nothing, and settings that the kind of a webhook does not look at. Each refusal
// is one line with the file, the line in it and the key:
//
//	config.yaml:12: webhooks[0].tags.regexp: missing closing ): `^v(`
//
// Several are reported together. What only another package knows, such as which
// kinds of webhooks there are, is asked through the hooks of [Options].
//
// Anchors, aliases and merge keys are refused: the file is short, and a list that
// is named in many places would have to be bounded. A file is one document of at
// most [MaxSize] bytes.
//
// # Secrets
//
// A secret is named by its environment variable or file, or stands in the file
// itself. No error and no printed [Secret] holds its text.
//
// The package opens no file and reads no environment: both are functions among
// the options. Everything in it is safe for concurrent use.
package config
