// Package github reads a branch and commits to it through GitHub's REST API.
package github
