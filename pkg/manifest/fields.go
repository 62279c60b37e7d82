package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// role is what a field says about an image.
type role int

const (
	noRole role = iota
	registryRole
	repositoryRole
	imageRole
	nameRole
	tagRole
	versionRole
	digestRole
	newNameRole
	newTagRole
	repoRole
	urlRole
	organizationRole
	roles // their number
)

// field is one key with its value, which may be an alias.
type field struct {
	key, value *yaml.Node
	// at is the step to the value.
	at *step
	// merged is set when the field came through a merge key.
	merged bool
}

// longestText is longer than every name, version and digest. It bounds the cost of a
// long scalar that aliases repeat in many fields.
const longestText = 1024

// text returns the beginning of the scalar that the field holds, which is more than
// longestText only where it is none of an image, or "" when it holds none.
func (f *field) text() string {
	if f == nil {
		return ""
	}
	n := resolve(f.value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return ""
	}
	return n.Value[:min(len(n.Value), longestText+1)]
}

// group is the fields of one mapping that belong together by their prefix:
// {repository, tag}, {imageRepository, imageTag} and {image.repository,
// image.tag} are groups of their own.
type group [roles][]*field

// get returns the last field of a role, which is the one that readers keep when
// a key stands twice, or nil.
func (g *group) get(r role) *field {
	if all := g[r]; len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

func (g *group) has(roles ...role) bool {
	return slices.ContainsFunc(roles, func(r role) bool { return len(g[r]) > 0 })
}

// roleSuffixes are the endings of keys that say a role, longest match first
// where one ends in another.
var roleSuffixes = [...]struct {
	suffix string
	role   role
}{
	{"repository", repositoryRole},
	{"registry", registryRole},
	{"version", versionRole},
	{"digest", digestRole},
	{"image", imageRole},
	{"name", nameRole},
	{"repo", repoRole},
	{"tag", tagRole},
	{"sha", digestRole},
}

// wholeKeys are keys that say a role only as they are.
var wholeKeys = map[string]role{
	"newName": newNameRole, "newTag": newTagRole, "hub": registryRole, "url": urlRole,
	"organization": organizationRole, "organisation": organizationRole, "org": organizationRole, "namespace": organizationRole,
}

// splitKey returns the role that a key says and the prefix of its group.
func splitKey(key string) (prefix string, r role) {
	if len(key) > longestText {
		return "", noRole
	}
	if r, ok := wholeKeys[key]; ok {
		return "", r
	}
	for _, s := range roleSuffixes {
		cut := len(key) - len(s.suffix)
		if cut >= 0 && strings.EqualFold(key[cut:], s.suffix) {
			prefix = strings.ToLower(strings.TrimRight(key[:cut], "._-"))
			if s.role == nameRole && prefix != "" && !isImageKey(prefix) {
				return "", noRole
			}
			return prefix, s.role
		}
	}
	return "", noRole
}

// groups are the groups of one mapping by prefix.
type groups map[string]*group

// add files a field under its group. A key such as sidecarImage names the image
// of its own group as well, whose tag is sidecarImageTag.
func (gs groups) add(key string, f *field) {
	prefix, r := splitKey(key)
	if r == noRole {
		return
	}
	gs.put(prefix, r, f)
	if r == imageRole {
		gs.put(strings.ToLower(key), r, f)
	}
}

func (gs groups) put(prefix string, r role, f *field) {
	g := gs[prefix]
	if g == nil {
		g = &group{}
		gs[prefix] = g
	}
	if f.merged && len(g[r]) > 0 {
		return
	}
	g[r] = append(g[r], f)
}

// maxMergeDepth is how deep merge keys are followed. Real files nest one or two.
const maxMergeDepth = 8

// groupsOf collects the groups of a mapping, merge keys included: fields of the
// mapping itself win, then those of the first source that has them. Each merged field
// uses one of steps; without steps left none is merged.
func groupsOf(m *yaml.Node, at *step, steps *int) groups {
	gs := groups{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if key := resolve(m.Content[i]); key.Kind == yaml.ScalarNode {
			gs.add(key.Value, &field{key: m.Content[i], value: m.Content[i+1], at: at.to(m, i)})
		}
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if isMergeKey(m.Content[i]) {
			gs.merge(m.Content[i+1], at, maxMergeDepth, steps)
		}
	}
	gs.join()
	return gs
}

// join lends the fields of {imageTag, imageDigest} to {repository} beside them,
// and imageDigest to {repository, tag}.
func (gs groups) join() {
	own, prefixed := gs[""], gs["image"]
	if own == nil || prefixed == nil || prefixed.has(repositoryRole, repoRole, imageRole) || !own.has(repositoryRole, repoRole, imageRole, nameRole, urlRole) {
		return
	}
	if prefixed.has(tagRole, versionRole) {
		if prefixed.has(nameRole) || own.has(tagRole, versionRole) || !own.has(repositoryRole, repoRole) {
			return
		}
		own[tagRole], own[versionRole] = prefixed[tagRole], prefixed[versionRole]
		prefixed[tagRole], prefixed[versionRole] = nil, nil
	}
	if !own.has(digestRole) {
		own[digestRole], prefixed[digestRole] = prefixed[digestRole], nil
	}
}

func isMergeKey(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style&quoteStyles == 0
}

// merge adds the fields that the value of a merge key brings in.
func (gs groups) merge(value *yaml.Node, at *step, depth int, steps *int) {
	n := resolve(value)
	for i, child := range n.Content {
		if *steps--; *steps < 0 || depth == 0 {
			return
		}
		switch {
		case n.Kind == yaml.SequenceNode:
			gs.merge(child, at, depth-1, steps)
		case n.Kind == yaml.MappingNode && i%2 == 0 && isMergeKey(child):
			gs.merge(n.Content[i+1], at, depth-1, steps)
		case n.Kind == yaml.MappingNode && i%2 == 0 && child.Kind == yaml.ScalarNode:
			gs.add(child.Value, &field{key: child, value: n.Content[i+1], at: at.to(n, i), merged: true})
		}
	}
}
