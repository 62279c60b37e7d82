// Package manifest finds the image references of YAML files and moves them to
// another version without touching any other byte.
//
// # Model
//
// A file goes through four steps, each in files of its own:
//
//	screen   can the file name a wanted image at all? No parsing, no allocation
//	walk     parse for positions, and find the sites: the places that name an image
//	splice   decide on each site, and replace the bytes of the version
//	verify   parse the outcome: the same tree except for the reported scalars
//
// The parser (YAML 1.1 with most of 1.2) gives lines and columns only. They are
// turned into byte offsets and each value is aligned with the bytes of the file
// before anything is written, so nothing is ever emitted from the tree.
//
// A site is a reference (NAME:tag, NAME@digest, both or neither) in the text of a
// scalar, or a pair: fields of one mapping of which some make the name and one
// holds the version. An update matches a site when the normalised names are
// equal, both ends.
//
// # Invariants
//
//   - Output equals input outside the splices that a Change reports; without a
//     Change the output is the very slice that was given.
//   - A second Edit changes nothing. An update does the same alone and together
//     with others, in any order.
//   - A written version is a string to readers of YAML 1.1 and 1.2: quotes are added
//     if it would not be one, and never removed. A version without quotes that readers
//     take for another one (1.10 is 1.1 to them) is replaced, even if its text is the
//     wanted one.
//   - Time and memory are linear in the size of the file: FuzzCost looks for a
//     fragment that costs more than its repetitions.
//   - Aliases are never expanded. Depth, size and number of references have
//     limits; what is beyond them is skipped with a reason.
//   - A reference to the image that is not edited is reported as a Skip.
//
// # Never edited
//
// Comments, also those inside block scalars; mapping keys; anything with {{ }},
// ${…} or $(…) in the reference; addresses with a scheme other than docker://,
// docker-image:// and oci://; files that are not UTF-8. In a file that no parser takes
// (a Helm template) only whole literal lines of the form "image: NAME:tag" are
// edited; pairs are not looked for there.
//
// An image that a build makes is an output, which is not edited: it follows push, tag,
// -t and the like, or is under tags and cache keys. In files of CI systems, known by
// their path or their shape, only known uses are edited. Lists that hold an image at
// several versions, files under a signature of their own, and digests without a version
// stay as they are.
//
// # Directives
//
// A comment "# versions-service: hold" on a line of a reference (of a pair, on
// that of any of its fields), with an optional reason behind it, keeps the
// reference at its version; on a line of its own before the first content it
// keeps the file. "# versions-service: ignore" hides what is no reference.
// "# versions-service: image NAME" behind or above a version that stands alone, or
// "# renovate: datasource=docker depName=NAME" above it, ties it to an image.
//
// # Shapes
//
// Each shape has a case of its name in testdata/golden, which shows a file before
// and after together with what was reported.
//
//	case                       what it shows
//	whole-plain, whole-quoted  NAME:tag under any key, any depth, any quotes
//	whole-digest, …-given      tag@digest and a digest alone, without and with a new digest
//	registry-port              a port is not a tag
//	docker-hub-spellings       redis and docker.io/library/redis are one image
//	untagged                   a tag is added in containers and Compose services only
//	not-ours                   other names, addresses, comments, keys
//	templated-and-variable     what is not literal is skipped
//	quoted-lines, line-breaks  values over several lines, every line break of YAML 1.1
//	styles, json-style         flow style, explicit keys, tags, anchors, next line, tabs, JSON
//	multi-document             indexes of documents
//	crlf, byte-order-mark, no-final-newline, non-ascii, duplicate-keys
//	block-scalars, json-text   references in text, one line at a time
//	yaml-in-text               pairs in YAML inside a literal block scalar
//	escaped                    names spelled with escapes are skipped
//	environment-and-arguments  values, --flag=NAME:tag, lists; NAME without a slash is ambiguous
//	pairs                      {repository, tag} and its kin, registry apart, Helm parameters
//	pairs-with-digest, …-given tag@digest and sibling digests
//	pairs-without-tag          an empty or absent tag means the chart's and stays
//	numbers                    when a version is quoted
//	kustomize, …-digest-given  newTag, newName, digest, list strings of Argo CD
//	compose, github-actions, gitlab-ci, tekton-and-argo, resource-keys, oci-sources
//	anchors, anchors-shared, anchors-digest, …-given
//	                           an anchored value is edited once, if all uses serve the image
//	template-file              what is done without a parser
//	held, held-file, ignored   directives
//	tied-versions, tied-template
//	                           versions that a comment ties to an image
//	outputs                    what a build makes, pushes, tags, caches or signs
//	ci-workflow, ci-gitlab, ci-azure, ci-cloud-build, ci-known-by-path
//	                           in files of CI systems only known uses are edited
//	several-versions, helm-index
//	                           lists of versions to choose from
//	digest-keys, …-digest-given
//	                           digests under other keys and beside a whole reference
//	pinned-references, pinned-pairs, pinned-kustomize, pinned-unknown
//	                           digests where none stands, with Options.Pin
//	signed, sops, sops-encrypted-only
//	                           files that hold a signature over themselves
//	kustomize-name-with-tag    a tag in the name of an entry is no version
//	around-a-reference         under an image key only a whole value is a reference
//	false-hits                 constraints, downloads of releases, hosts with ports
//	chart-keys                 repo, url, organization, name with version
//	registry-elsewhere         the registry that a document holds only once
//	placeholders, template-that-parses
//	                           what other tools than Helm fill in
//	pairs-in-quoted-text       pairs that are only reported, and pairs in JSON
//	dependency-proxies         variables of GitLab that stand for Docker Hub
//	other-version              references that Update.Present does not match
//	not-utf8, utf16            files that are only looked at
//	many-images                several updates in one pass
package manifest
