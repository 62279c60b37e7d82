package manifest

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Release is what a document says of the files of values that one chart gets
// together: an Application of Argo CD, a HelmRelease of Flux, a release of helmfile
// or a chart of a kustomization.
type Release struct {
	// Repository is the address of the repository that the paths are in. It is empty
	// where the document does not say, as when they are in its own.
	Repository string
	// Chart is the folder of the chart, or empty for one that is not in the repository.
	Chart string
	// Files are the paths of the files of values. Those with placeholders are left out.
	Files []string
	// Relative reports whether the paths begin at the folder of the file that has the
	// document. Others begin at the root of the repository.
	Relative bool
}

const (
	// maxReleases bounds the releases of one file, and maxReleaseFiles their files of
	// values all together. A file that has more has none.
	maxReleases     = 1_000
	maxReleaseFiles = 4_000
	// maxReleasePath is the longest path in bytes that is told.
	maxReleasePath = 1_024
)

// releasesReader collects the releases of a file.
type releasesReader struct {
	releases []Release
	files    int
}

// releasesOf returns the releases that parsed documents tell of, in file order.
func releasesOf(docs []*yaml.Node) []Release {
	var r releasesReader
	for _, doc := range docs {
		root := rootOf(doc)
		spec := valueOrEmpty(root, "spec")
		switch valueOrEmpty(root, "kind").Value {
		case "Application":
			r.application(spec)
		case "ApplicationSet":
			r.application(valueOrEmpty(valueOrEmpty(spec, "template"), "spec"))
		case "HelmRelease":
			r.helmRelease(valueOrEmpty(valueOrEmpty(spec, "chart"), "spec"))
		default:
			r.kustomization(root)
			r.helmfile(root)
		}
		if r.files > maxReleaseFiles || len(r.releases) > maxReleases {
			return nil
		}
	}
	return r.releases
}

func (r *releasesReader) add(release Release) {
	if len(release.Files) > 0 {
		r.files += len(release.Files)
		r.releases = append(r.releases, release)
	}
}

// application reads the sources of Argo CD. A path of values begins at the source's
// own path, with a slash before it at the root of the repository, and with $NAME/ at
// the root of that of another source. The files of one repository are one release.
func (r *releasesReader) application(spec *yaml.Node) {
	sources := append([]*yaml.Node{valueOrEmpty(spec, "source")}, valueOrEmpty(spec, "sources").Content...)
	if len(sources) > maxReleases {
		return
	}
	repositories := map[string]string{}
	for _, source := range sources {
		if ref := literal(valueOrEmpty(resolve(source), "ref")); ref != "" {
			repositories[ref] = literal(valueOrEmpty(resolve(source), "repoURL"))
		}
	}
	for _, source := range sources {
		r.source(resolve(source), repositories)
	}
}

func (r *releasesReader) source(source *yaml.Node, repositories map[string]string) {
	own, folder := literal(valueOrEmpty(source, "repoURL")), literal(valueOrEmpty(source, "path"))
	all := map[string]*Release{own: {Repository: own, Chart: folder}}
	order := []string{own}
	for _, file := range literals(valueOrEmpty(valueOrEmpty(source, "helm"), "valueFiles")) {
		repository := own
		switch rest, referred := strings.CutPrefix(file, "$"); {
		case referred:
			ref, inner, ok := strings.Cut(rest, "/")
			if repository = repositories[ref]; !ok {
				continue
			}
			file = inner
		case strings.HasPrefix(file, "/"):
			file = strings.TrimLeft(file, "/")
		case folder == "":
			continue // in the chart
		default:
			file = path.Join(folder, file)
		}
		if repository == "" {
			continue
		}
		if all[repository] == nil {
			all[repository] = &Release{Repository: repository}
			order = append(order, repository)
		}
		all[repository].Files = append(all[repository].Files, file)
	}
	for _, repository := range order {
		r.add(*all[repository])
	}
}

// helmRelease reads a chart of Flux that is in a repository of Git. Its paths begin at
// the root of that repository.
func (r *releasesReader) helmRelease(spec *yaml.Node) {
	chart := literal(valueOrEmpty(spec, "chart"))
	if chart == "" || valueOrEmpty(valueOrEmpty(spec, "sourceRef"), "kind").Value != "GitRepository" {
		return
	}
	r.add(Release{Chart: chart, Files: literals(valueOrEmpty(spec, "valuesFiles"))})
}

// kustomization reads the charts that kustomize inflates.
func (r *releasesReader) kustomization(root *yaml.Node) {
	home := literal(valueOrEmpty(valueOrEmpty(root, "helmGlobals"), "chartHome"))
	if home == "" {
		home = "charts"
	}
	for _, item := range valueOrEmpty(root, "helmCharts").Content {
		chart := resolve(item)
		files := literals(valueOrEmpty(chart, "additionalValuesFiles"))
		if file := literal(valueOrEmpty(chart, "valuesFile")); file != "" {
			files = append(files, file)
		}
		if len(r.releases) <= maxReleases {
			r.add(Release{Chart: path.Join(home, literal(valueOrEmpty(chart, "name"))), Files: files, Relative: true})
		}
	}
}

// helmfile reads the releases of helmfile.
func (r *releasesReader) helmfile(root *yaml.Node) {
	for _, item := range valueOrEmpty(root, "releases").Content {
		release := resolve(item)
		chart := literal(valueOrEmpty(release, "chart"))
		if chart != "" && len(r.releases) <= maxReleases {
			r.add(Release{Chart: chart, Files: literals(valueOrEmpty(release, "values")), Relative: true})
		}
	}
}

// literal returns the text of a scalar that is a path or an address, or "" where it is
// none, has a placeholder or is too long.
func literal(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || len(n.Value) > maxReleasePath || strings.Contains(n.Value, "{{") || strings.Contains(n.Value, "${") {
		return ""
	}
	return n.Value
}

// literals returns the paths of a list.
func literals(list *yaml.Node) []string {
	if list.Kind != yaml.SequenceNode {
		return nil
	}
	var all []string
	for _, item := range list.Content[:min(len(list.Content), maxReleaseFiles+1)] {
		if text := literal(resolve(item)); text != "" && !strings.Contains(text, "://") {
			all = append(all, text)
		}
	}
	return all
}
