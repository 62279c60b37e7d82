package manifest

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pipelineFolders are folders whose files belong to a CI system.
var pipelineFolders = [...]string{
	".github/workflows/", ".github/actions/", ".gitea/workflows/", ".forgejo/workflows/", ".gitlab/ci/", ".gitlab-ci/",
	".circleci/", ".buildkite/", ".woodpecker/", ".azure-pipelines/", ".azuredevops/", ".drone/",
}

// pipelineFiles are the names of files of CI systems, in lower case and without
// their extension.
var pipelineFiles = [...]string{
	".gitlab-ci", "azure-pipelines", "azure-pipeline", "bitbucket-pipelines", "cloudbuild", "buildspec", ".drone", ".woodpecker", ".travis",
	".cirrus", "appveyor", ".appveyor", "codemagic", "wercker", "semaphore", "screwdriver",
}

// isPipelinePath reports whether a path of a repository, with slashes, is that of
// a CI system's file: a workflow, a pipeline or a build definition.
func isPipelinePath(name string) bool {
	for _, folder := range pipelineFolders {
		if strings.HasPrefix(name, folder) || strings.Contains(name, "/"+folder) {
			return true
		}
	}
	base := strings.ToLower(path.Base(name))
	base = strings.TrimSuffix(base, path.Ext(base))
	for _, file := range pipelineFiles {
		if base == file || strings.HasPrefix(base, file+"-") || strings.HasPrefix(base, file+".") || strings.HasPrefix(base, file+"_") {
			return true
		}
	}
	return strings.HasSuffix(base, ".gitlab-ci") || strings.HasSuffix(base, "-pipelines") && base != "bitbucket-pipelines" && strings.HasPrefix(base, "azure")
}

// pipelineOf returns whether a document is a file of a CI system by its shape, and
// whether it is one of Cloud Build.
func pipelineOf(root *yaml.Node) (pipeline, cloudBuild bool) {
	if root.Kind != yaml.MappingNode || valueOf(root, "apiVersion") != nil {
		return false, false
	}
	steps := valueOf(root, "steps")
	switch cloudBuild = isCloudBuild(steps); {
	case cloudBuild, hasSteps(valueOf(root, "jobs")), isDrone(root):
		return true, cloudBuild
	case valueOf(valueOrEmpty(root, "runs"), "using") != nil, valueOf(root, "pipelines") != nil && valueOf(valueOrEmpty(root, "pipelines"), "default") != nil:
		return true, false
	}
	if hasItem(steps, "task", "bash", "pwsh", "powershell", "script", "checkout", "uses", "run") || hasItem(valueOf(root, "stages"), "jobs", "stage") {
		return true, false
	}
	return isGitLab(root), false
}

// isDrone reports whether a document is a pipeline of Drone or Woodpecker.
func isDrone(root *yaml.Node) bool {
	kind := valueOrEmpty(root, "kind").Value
	return kind == "pipeline" && valueOf(root, "steps") != nil
}

// isCloudBuild reports whether steps are those of Google Cloud Build: each has the
// image that runs as its name.
func isCloudBuild(steps *yaml.Node) bool {
	if steps == nil || steps.Kind != yaml.SequenceNode || len(steps.Content) == 0 {
		return false
	}
	step := resolve(steps.Content[0])
	return valueOf(step, "name") != nil && valueOf(step, "uses") == nil && valueOf(step, "run") == nil && valueOf(step, "image") == nil &&
		(valueOf(step, "args") != nil || valueOf(step, "entrypoint") != nil || valueOf(step, "script") != nil)
}

// hasSteps reports whether one of the jobs, a mapping or a list of them, is made
// of steps or runs on a machine of a CI system.
func hasSteps(jobs *yaml.Node) bool {
	switch {
	case jobs == nil:
		return false
	case jobs.Kind == yaml.SequenceNode:
		return hasItem(jobs, "job", "deployment", "steps", "runs-on")
	}
	for i := 1; i < min(len(jobs.Content), 2*maxSiblings); i += 2 {
		job := resolve(jobs.Content[i])
		if valueOf(job, "steps") != nil || valueOf(job, "runs-on") != nil || valueOf(job, "uses") != nil {
			return true
		}
	}
	return false
}

// isGitLab reports whether jobs with scripts stand at the root, and one of them or
// the root knows stages.
func isGitLab(root *yaml.Node) bool {
	scripts, stages := false, false
	if list := valueOf(root, "stages"); list != nil && list.Kind == yaml.SequenceNode {
		stages = true
	}
	for i := 1; i < min(len(root.Content), 2*maxSiblings); i += 2 {
		job := resolve(root.Content[i])
		scripts = scripts || valueOf(job, "script") != nil
		stages = stages || valueOf(job, "stage") != nil
	}
	return scripts && stages
}

// hasItem reports whether an item of a list is a mapping with one of the keys.
func hasItem(list *yaml.Node, keys ...string) bool {
	if list == nil || list.Kind != yaml.SequenceNode {
		return false
	}
	for _, item := range list.Content[:min(len(list.Content), maxSiblings)] {
		for _, key := range keys {
			if valueOf(resolve(item), key) != nil {
				return true
			}
		}
	}
	return false
}

// valueOrEmpty is valueOf with an empty node for none.
func valueOrEmpty(n *yaml.Node, key string) *yaml.Node {
	if value := valueOf(n, key); value != nil {
		return value
	}
	return &yaml.Node{}
}
