// Package service is the service as a program: it reads the environment, builds
// every part, serves until it is told to stop, and stops gracefully. The
// commands of this module are thin doors to it.
package service
