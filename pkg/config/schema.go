package config

import _ "embed" // the schema

//go:embed schema.json
var schema string

// Schema returns the JSON Schema of the file (draft 2020-12), for editors. It accepts
// every file that Parse accepts; Parse also knows names that must exist, globs, patterns
// and bounds.
func Schema() string { return schema }
