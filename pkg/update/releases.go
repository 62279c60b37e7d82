package update

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// maxReleaseMembers bounds the files of values of all releases of a snapshot, each
// counted once for every release. Where there are more, releases are left out of
// account, because whether their names agree could not be told.
const maxReleaseMembers = 20_000

// maxReleaseFiles bounds the files of values of one release. One that has more is left
// out of account.
const maxReleaseFiles = 100

// releases are the files of values that go together to one chart, the chart's own
// values.yaml among them, as Applications, HelmReleases and the like say.
type releases struct {
	of      map[string][]int // the numbers of the releases of a file, by its path
	members [][]string       // the paths of each release's files
	count   int              // of all members
}

// readReleases collects the releases of a snapshot, from the files that may tell of
// any by what is remembered of their words.
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

// join notes which files belong to a release that a file in the folder tells of.
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

// folder is a path as a folder: "" for the root, others with a slash at the end.
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

// with are the files that a release has together with one of the paths.
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
