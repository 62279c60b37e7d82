// Package cli is the command line: it asks a service that runs elsewhere to set an
// image to a version, shows the answer to a person, a program or GitHub Actions, and
// ends with an exit code for scripts.
//
// # Model
//
// [Program] is the tree of commands. Those of [Local] are done by this process; the
// others are one client of the HTTP interface, which knows the contract and none of
// the service's packages. A command has four steps: it reads its arguments, sends one
// request, waits for an update that was accepted, and shows the answer in one of
// three forms. The exit code follows from the answer alone:
//
//	0  done: committed, unchanged, superseded, held, proposed or planned
//	1  a fault of the command itself
//	2  refused, or wrong arguments
//	3  no file names the image
//	4  GitHub, the registry or the service is away
//	5  not finished in time; the service goes on with it
//	6  some targets failed
//
// # Invariants
//
//   - A token is never an argument, never printed, and never sent to another origin
//     than the one it is meant for: redirects to another one are refused.
//   - A request is sent three times at most, within ten seconds, and with one
//     Idempotency-Key, so that a lost answer makes no second update.
//   - An answer is read up to a bound. What is shown of it is printable, and cannot
//     become a command of GitHub Actions.
//   - Progress is shown on a terminal alone.
package cli
