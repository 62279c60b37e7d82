package github

import "github.com/refty-yapi/refty-node-versions-service/pkg/internal/cache"

// blobCost is what a cached blob takes, in bytes.
func blobCost(content []byte) int64 { return int64(cap(content)) + cache.Overhead }
