// Package manifest finds image references in YAML and moves them to another
// version without touching any other byte.
package manifest
