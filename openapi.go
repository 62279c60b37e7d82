// Package openapi holds the service's API description.
package openapi

import _ "embed"

// YAML is openapi.yaml, the single source of the HTTP interface. It must not be changed.
//
//go:embed openapi.yaml
var YAML []byte
