// Package config reads the service's configuration file: the branches that it writes
// to, the registries whose pushes it takes, the callers and their rules.
//
// # Model
//
// A [File] is lists of targets, webhook sources, callers and rules, and a few numbers.
// testdata/full.yaml shows every key with its meaning. A list that is left out is
// empty; a number that is left out is zero, which means the default of the package
// that uses it.
//
// # Strictness
//
// A configuration with a mistake must not start. So [Parse] refuses unknown keys and keys that are given twice, values of another
// type, empty values and lists, names that are given twice, globs that can match
// nothing, and settings that the kind of a webhook does not use. Each refusal is one
// line with the file, the line number and the key:
//
//	config.yaml:12: webhooks[0].tags.regexp: missing closing ): `^v(`
//
// Several are reported together. Values that another package defines, such as the
// kinds of webhooks, are checked by the hooks of [Options].
//
// Anchors, aliases and merge keys are refused: the file is short, and expanding them
// would need a bound. A file is one document of at most [MaxSize] bytes.
//
// # Secrets
//
// A secret is an environment variable, a file, or a text in the configuration file.
// No error and no printed [Secret] holds its text.
//
// The package opens no file and reads no environment except by functions of its
// options. Everything in it is safe for concurrent use.
package config
