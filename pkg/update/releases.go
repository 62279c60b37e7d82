package update

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// maxReleaseMembers bounds the values files of all releases of a snapshot; a file counts
// once for each of its releases. Beyond it, all releases are ignored, because a part of
// them cannot show whether the names agree.
const maxReleaseMembers = 20_000

// maxReleaseFiles bounds the values files of one release. A release with more is
// ignored.
const maxReleaseFiles = 100

// releases are the values files that Applications, HelmReleases and the like use
// together for one chart, with the chart's own values.yaml.
type releases struct {
	of      map[string][]int // the numbers of the releases of a file, by its path
	members [][]string       // the paths of each release's files
	count   int              // of all members
}

// readReleases collects the releases of a snapshot. It reads the files whose remembered
// words show that they may describe one.
func (s *Service) readReleases(ctx context.Context, f *families) error {
	var telling []*member
	bytes := int64(0)
	for i := range f.files {
		if m := &f.files[i]; m.tells {
			telling = append(telling, m)
			bytes += m.entry.Size
		}
	}
	if len(telling) > maxFamilyFiles || bytes > maxFamilyBytes {
		return nil
	}
	told := make([][]manifest.Release, len(telling))
	err := s.pairsOf(ctx, f.plan, telling, func(i int, pairs manifest.Pairs) { told[i] = pairs.Releases() })
	if err != nil {
		return err
	}
	present := map[string]bool{}
	for i := range f.files {
		present[f.files[i].entry.Path] = true
	}
	for i, m := range telling {
		f.Join(m.entry.Path, told[i], present)
	}
	f.Joined()
	return nil
}

// join records the files of a release that a file in the folder describes.
func (l *Layout) join(dir string, release manifest.Release, present map[string]bool) {
	if len(release.Files) > maxReleaseFiles || release.Repository != "" && !isAddressOf(release.Repository, l.repo) {
		return
	}
	if !release.Relative {
		dir = ""
	}
	var files []string
	add := func(file string) {
		if file = path.Join(dir, file); present[file] && !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	switch chart := path.Join(dir, release.Chart); {
	case release.Chart == "":
	case l.charts[folder(chart)]:
		add(path.Join(release.Chart, "values.yaml"))
	case !release.Relative:
		return // the paths are those of another repository
	}
	for _, file := range release.Files {
		add(file)
	}
	if len(files) < 2 || l.releases.count > maxReleaseMembers {
		return
	}
	if l.releases.of == nil {
		l.releases.of = map[string][]int{}
	}
	l.releases.count += len(files)
	for _, file := range files {
		l.releases.of[file] = append(l.releases.of[file], len(l.releases.members))
	}
	l.releases.members = append(l.releases.members, files)
}

// folder returns a path in the form of a folder: "" for the root, others with a slash at
// the end.
func folder(dir string) string {
	if dir == "." || dir == "" {
		return ""
	}
	return dir + "/"
}

// isAddressOf reports whether an address is that of the repository, on any host.
func isAddressOf(address string, repo github.Repo) bool {
	address = strings.TrimSuffix(strings.TrimRight(strings.ToLower(address), "/"), ".git")
	rest, ok := strings.CutSuffix(address, strings.ToLower(repo.Owner+"/"+repo.Name))
	return ok && (strings.HasSuffix(rest, "/") || strings.HasSuffix(rest, ":"))
}

// with returns a function that reports whether a file belongs to a release that one of
// the paths belongs to.
func (r *releases) with(paths []string) func(*member) bool {
	together := map[string]bool{}
	seen := map[int]bool{}
	for _, p := range paths {
		for _, n := range r.of[p] {
			if seen[n] {
				continue
			}
			seen[n] = true
			for _, file := range r.members[n] {
				together[file] = true
			}
		}
	}
	return func(m *member) bool { return together[m.entry.Path] }
}
