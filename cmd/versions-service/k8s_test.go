package main_test

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

const manifestDir = "../../k8s"

// A kustomization has the fields that this repository uses: a new one is added
// here first. kubectl kustomize, which .ci/run calls, knows what they mean.
type kustomization struct {
	APIVersion         string   `json:"apiVersion"`
	Kind               string   `json:"kind"`
	NameSuffix         string   `json:"nameSuffix"`
	Resources          []string `json:"resources"`
	ConfigMapGenerator []struct {
		Name     string   `json:"name"`
		Literals []string `json:"literals"`
		Options  struct {
			Labels map[string]string `json:"labels"`
		} `json:"options"`
	} `json:"configMapGenerator"`
	Images []struct {
		Name   string `json:"name"`
		NewTag string `json:"newTag"`
	} `json:"images"`
	Labels []struct {
		IncludeSelectors bool              `json:"includeSelectors"`
		Pairs            map[string]string `json:"pairs"`
	} `json:"labels"`
	Patches []struct {
		Path   string `json:"path"`
		Patch  string `json:"patch"`
		Target struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"target"`
	} `json:"patches"`
}

// An envPatch is what a JSON patch (RFC 6902) in a kustomization may be: one
// that replaces a container's environment, or removes a part of it.
type envPatch []struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value []corev1.EnvVar `json:"value"`
}

// TestManifestsAreStrictlyValid decodes every manifest with the types of the
// Kubernetes API, where a field that does not exist and one given twice are
// errors.
func TestManifestsAreStrictlyValid(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, path := range manifestFiles(t) {
		if filepath.Base(path) == "kustomization.yaml" {
			seen[readKustomization(t, path).Kind]++
			continue
		}
		for _, object := range decode(t, path) {
			seen[object.GetObjectKind().GroupVersionKind().Kind]++
		}
	}
	want := map[string]int{
		"Deployment": 3, "Service": 1, "Secret": 2, "PersistentVolumeClaim": 3,
		"PodDisruptionBudget": 1, "Kustomization": 3,
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("kinds below %s (-want +got):\n%s", manifestDir, diff)
	}
}

// TestManifestsNameVariablesOfTheProgram finds variables that are set in vain.
func TestManifestsNameVariablesOfTheProgram(t *testing.T) {
	t.Parallel()
	known := service.Variables()
	for _, path := range manifestFiles(t) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			for _, name := range namedVariables(t, path) {
				if !slices.Contains(known, name) {
					t.Errorf("%s: the program reads no variable %q", path, name)
				}
			}
		})
	}
	base := namedVariables(t, filepath.Join(manifestDir, "base", "deployment.yaml"))
	needed := []string{"DATA_DIR"}
	for _, name := range known {
		if secret, ok := strings.CutSuffix(name, "_FILE"); ok && slices.Contains(known, secret) && secret != "DATABASE_URL" {
			needed = append(needed, name)
		}
	}
	for _, name := range needed {
		if !slices.Contains(base, name) {
			t.Errorf("the base sets no %s", name)
		}
	}
}

// TestSecretsComeByReference keeps values out of the manifests, and the example
// out of what is applied.
func TestSecretsComeByReference(t *testing.T) {
	t.Parallel()
	secrets := []string{"DATABASE_URL"}
	for _, name := range service.Variables() {
		if secret, ok := strings.CutSuffix(name, "_FILE"); ok && slices.Contains(service.Variables(), secret) {
			secrets = append(secrets, secret)
		}
	}
	for _, path := range manifestFiles(t) {
		if filepath.Base(path) == "kustomization.yaml" {
			k := readKustomization(t, path)
			for _, generator := range k.ConfigMapGenerator {
				for _, literal := range generator.Literals {
					if name, _, _ := strings.Cut(literal, "="); slices.Contains(secrets, name) {
						t.Errorf("%s: %s stands in a ConfigMap", path, name)
					}
				}
			}
			for _, resource := range k.Resources {
				if strings.Contains(resource, "secret") {
					t.Errorf("%s applies %s", path, resource)
				}
			}
			continue
		}
		for _, variable := range environment(t, path) {
			if slices.Contains(secrets, variable.Name) && (variable.ValueFrom == nil || variable.ValueFrom.SecretKeyRef == nil) {
				t.Errorf("%s: %s is not a reference to a Secret", path, variable.Name)
			}
		}
	}
}

// TestExampleSecretsFitTheDeployments has each example hold just what is
// referred to, and makes what a pod can do without optional.
func TestExampleSecretsFitTheDeployments(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"base", "overlays/postgres"} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			example := decodeOne[*corev1.Secret](t, dir+"/secret.example.yaml")
			want := map[string]bool{}
			for key := range example.StringData {
				want[example.Name+"/"+key] = true
			}
			overlay := strings.TrimPrefix(strings.TrimPrefix(dir, "base"), "overlays/")
			folders := mountedSecrets(merged(t, overlay))
			got := map[string]bool{}
			for _, variable := range environment(t, filepath.Join(manifestDir, filepath.FromSlash(dir), "deployment.yaml")) {
				name, ok := strings.CutSuffix(variable.Name, "_FILE")
				if !ok {
					continue
				}
				file, optional := strings.CutPrefix(variable.Value, "-")
				folder, key := path.Split(file)
				got[folders[path.Clean(folder)]+"/"+key] = true
				if needed := name == "API_TOKENS" || name == "DATABASE_URL"; optional == needed || key != name {
					t.Errorf("%s: %s", variable.Name, variable.Value)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("keys of the example and of the Deployment (-want +got):\n%s", diff)
			}
		})
	}
}

// mountedSecrets are the names of Secrets by the folders that the container has
// them in.
func mountedSecrets(d *appsv1.Deployment) map[string]string {
	volumes := map[string]string{}
	for _, volume := range d.Spec.Template.Spec.Volumes {
		if volume.Secret != nil {
			volumes[volume.Name] = volume.Secret.SecretName
		}
	}
	folders := map[string]string{}
	for _, mount := range d.Spec.Template.Spec.Containers[0].VolumeMounts {
		if name := volumes[mount.Name]; name != "" {
			folders[mount.MountPath] = name
		}
	}
	return folders
}

// TestQueueIsKeptWhereItCanBe looks at what each overlay makes of the Deployment:
// a file needs a volume and no second process beside it, a database neither.
func TestQueueIsKeptWhereItCanBe(t *testing.T) {
	t.Parallel()
	type queue struct {
		Replicas   int32
		Strategy   appsv1.DeploymentStrategyType
		Claim      string
		EmptyDir   bool
		Mounted    bool
		DataDir    string
		DatabaseBy string
	}
	tests := []struct {
		overlay string
		want    queue
	}{
		{"", queue{Replicas: 1, Strategy: appsv1.RecreateDeploymentStrategyType, Claim: "versions-service", Mounted: true, DataDir: "/data"}},
		{"sandbox", queue{Replicas: 1, Strategy: appsv1.RecreateDeploymentStrategyType, EmptyDir: true, Mounted: true, DataDir: "/data"}},
		{"postgres", queue{Replicas: 2, Strategy: appsv1.RollingUpdateDeploymentStrategyType, DatabaseBy: "/run/secrets/versions-service-database/DATABASE_URL"}},
	}
	for _, tt := range tests {
		t.Run("overlay "+tt.overlay, func(t *testing.T) {
			t.Parallel()
			deployment := merged(t, tt.overlay)
			pod := deployment.Spec.Template.Spec
			got := queue{Replicas: value(deployment.Spec.Replicas), Strategy: deployment.Spec.Strategy.Type}
			for _, volume := range pod.Volumes {
				if volume.Name != "data" {
					continue
				}
				got.EmptyDir = volume.EmptyDir != nil
				if volume.PersistentVolumeClaim != nil {
					got.Claim = volume.PersistentVolumeClaim.ClaimName
				}
			}
			got.Mounted = slices.Contains(pod.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/data"})
			for _, variable := range pod.Containers[0].Env {
				switch variable.Name {
				case "DATA_DIR":
					got.DataDir = variable.Value
				case "DATABASE_URL_FILE":
					got.DatabaseBy = variable.Value
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if pod.SecurityContext == nil || value(pod.SecurityContext.FSGroup) != 65532 ||
				value(pod.SecurityContext.FSGroupChangePolicy) != corev1.FSGroupChangeOnRootMismatch {
				t.Errorf("the volume is not given to the group: %v", pod.SecurityContext)
			}
		})
	}
	claim := decodeOne[*corev1.PersistentVolumeClaim](t, "base/volume.yaml")
	if modes := claim.Spec.AccessModes; claim.Name != "versions-service" || !slices.Equal(modes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}) {
		t.Errorf("claim %s has the modes %v", claim.Name, modes)
	}
}

// TestReplicasAreSpreadAndSpared follows the labels that pods are counted by.
func TestReplicasAreSpreadAndSpared(t *testing.T) {
	t.Parallel()
	deployment := merged(t, "postgres")
	selected := deployment.Spec.Selector.MatchLabels
	budget := decodeOne[*policyv1.PodDisruptionBudget](t, "overlays/postgres/disruption.yaml")
	if diff := cmp.Diff(selected, budget.Spec.Selector.MatchLabels); diff != "" {
		t.Errorf("pods of the budget (-want +got):\n%s", diff)
	}
	constraints := deployment.Spec.Template.Spec.TopologySpreadConstraints
	if len(constraints) == 0 {
		t.Error("nothing spreads the replicas")
	}
	for _, constraint := range constraints {
		if diff := cmp.Diff(selected, constraint.LabelSelector.MatchLabels); diff != "" {
			t.Errorf("pods spread over %s (-want +got):\n%s", constraint.TopologyKey, diff)
		}
		if constraint.WhenUnsatisfiable != corev1.ScheduleAnyway {
			t.Errorf("%s: a cluster of one node could not run it", constraint.TopologyKey)
		}
	}
}

// TestImageHasTheDataFolder compares what the image and the manifests call it.
func TestImageHasTheDataFolder(t *testing.T) {
	t.Parallel()
	dockerfile := string(read(t, "../../Dockerfile"))
	for _, line := range []string{"ENV DATA_DIR=/data", "VOLUME /data", "COPY --from=build --chown=65532:65532 /data /data"} {
		if !slices.Contains(strings.Split(dockerfile, "\n"), line) {
			t.Errorf("the Dockerfile has no line %q", line)
		}
	}
}

// TestPodIsRestricted checks what the level "restricted" of the Pod Security
// Standards asks for, and that the root file system is read-only.
func TestPodIsRestricted(t *testing.T) {
	t.Parallel()
	pod := decodeOne[*appsv1.Deployment](t, "base/deployment.yaml").Spec.Template.Spec
	if pod.SecurityContext == nil || pod.SecurityContext.SeccompProfile == nil {
		t.Fatal("no security context with a seccomp profile")
	}
	type restrictions struct {
		NonRoot        bool
		User, Group    int64
		Seccomp        corev1.SeccompProfileType
		TokenMounted   bool
		HostNamespaces bool
	}
	want := restrictions{NonRoot: true, User: 65532, Group: 65532, Seccomp: corev1.SeccompProfileTypeRuntimeDefault}
	got := restrictions{
		NonRoot:        value(pod.SecurityContext.RunAsNonRoot),
		User:           value(pod.SecurityContext.RunAsUser),
		Group:          value(pod.SecurityContext.RunAsGroup),
		Seccomp:        pod.SecurityContext.SeccompProfile.Type,
		TokenMounted:   pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken,
		HostNamespaces: pod.HostNetwork || pod.HostPID || pod.HostIPC,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	for _, container := range pod.Containers {
		wantContext := &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
		if diff := cmp.Diff(wantContext, container.SecurityContext); diff != "" {
			t.Errorf("container %s (-want +got):\n%s", container.Name, diff)
		}
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if container.Resources.Requests.Name(name, "").IsZero() || container.Resources.Limits.Name(name, "").IsZero() {
				t.Errorf("container %s: no request or no limit of %s", container.Name, name)
			}
		}
	}
}

// TestServiceReachesThePod follows the names that only meet in the cluster:
// labels, ports and probes.
func TestServiceReachesThePod(t *testing.T) {
	t.Parallel()
	deployment := decodeOne[*appsv1.Deployment](t, "base/deployment.yaml")
	reached := decodeOne[*corev1.Service](t, "base/service.yaml")
	for label, want := range reached.Spec.Selector {
		if got := deployment.Spec.Template.Labels[label]; got != want {
			t.Errorf("label %s: the Service selects %q, the pod has %q", label, want, got)
		}
	}
	if diff := cmp.Diff(deployment.Spec.Selector.MatchLabels, reached.Spec.Selector); diff != "" {
		t.Errorf("selectors of Deployment and Service (-want +got):\n%s", diff)
	}
	container := deployment.Spec.Template.Spec.Containers[0]
	port := container.Ports[0]
	if port.ContainerPort != 8080 || reached.Spec.Ports[0].Port != 80 || reached.Spec.Ports[0].TargetPort.StrVal != port.Name {
		t.Errorf("Service port %d to %q; container port %d is %q", reached.Spec.Ports[0].Port, reached.Spec.Ports[0].TargetPort.StrVal, port.ContainerPort, port.Name)
	}
	probes := map[string]*corev1.Probe{"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe}
	for path, probe := range probes {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != port.Name {
			t.Errorf("no probe asks for %s on port %s: %v", path, port.Name, probe)
		}
	}
}
