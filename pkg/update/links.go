package update

import (
	"context"
	"path"

	"github.com/refty-yapi/refty-node-versions-service/pkg/github"
	"github.com/refty-yapi/refty-node-versions-service/pkg/manifest"
)

// findLinks lists the symbolic links to files that name an image: the file is
// edited where it lives, and the link stays what it is. Links are only read when
// there is a file that they may lead to.
func (p *plan) findLinks(ctx context.Context, editors *editors) error {
	if !p.anyNamed() {
		return nil
	}
	var links []github.Entry
	var by []*editor
	for _, entry := range p.snapshot.Entries {
		if entry.Mode != github.ModeSymlink {
			continue
		}
		if ed := editors.of(entry); ed != nil {
			links = append(links, entry)
			by = append(by, ed)
		}
	}
	if len(links) == 0 {
		return nil
	}
	return p.target.Repository.Read(ctx, p.snapshot, links, func(i int, target []byte) error {
		if path.IsAbs(string(target)) {
			return nil // it leads out of the repository
		}
		file := path.Join(path.Dir(links[i].Path), string(target))
		for _, w := range by[i].wanted {
			if f := &p.findings[w]; f.named[file] {
				f.skipped = append(f.skipped, Skip{Path: links[i].Path, Reason: manifest.Symlink})
			}
		}
		return nil
	})
}

func (p *plan) anyNamed() bool {
	for _, f := range p.findings {
		if len(f.named) > 0 {
			return true
		}
	}
	return false
}
