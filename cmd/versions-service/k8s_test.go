package main_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

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
// that replaces a container's environment.
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
	want := map[string]int{"Deployment": 2, "Service": 1, "Secret": 1, "Kustomization": 2}
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
	for _, needed := range []string{"GITHUB_TOKEN", "API_TOKENS"} {
		if !slices.Contains(base, needed) {
			t.Errorf("the base sets no %s", needed)
		}
	}
}

// TestSecretsComeByReference keeps values out of the manifests, and the example
// out of what is applied.
func TestSecretsComeByReference(t *testing.T) {
	t.Parallel()
	secrets := []string{"GITHUB_TOKEN", "API_TOKENS", "GITHUB_APP_PRIVATE_KEY", "COMMIT_SIGNING_KEY"}
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

// TestExampleSecretFitsTheDeployment has the example hold just what is referred to.
func TestExampleSecretFitsTheDeployment(t *testing.T) {
	t.Parallel()
	example := decodeOne[*corev1.Secret](t, "base/secret.example.yaml")
	want := map[string]bool{}
	for key := range example.StringData {
		want[example.Name+"/"+key] = true
	}
	got := map[string]bool{}
	for _, variable := range environment(t, filepath.Join(manifestDir, "base", "deployment.yaml")) {
		if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil {
			got[from.SecretKeyRef.Name+"/"+from.SecretKeyRef.Key] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys of the example and of the Deployment (-want +got):\n%s", diff)
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

// manifestFiles are all files below k8s.
func manifestFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(manifestDir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("files below %s: %d, %v", manifestDir, len(files), err)
	}
	return files
}

// decode returns the objects of a manifest's documents.
func decode(t *testing.T, path string) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(appsv1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(read(t, path))))
	var objects []runtime.Object
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		objects = append(objects, object)
	}
}

// decodeOne returns the only object of a manifest below k8s.
func decodeOne[T runtime.Object](t *testing.T, name string) T {
	t.Helper()
	objects := decode(t, filepath.Join(manifestDir, filepath.FromSlash(name)))
	if len(objects) != 1 {
		t.Fatalf("%s: %d objects, want 1", name, len(objects))
	}
	object, ok := objects[0].(T)
	if !ok {
		t.Fatalf("%s is a %T", name, objects[0])
	}
	return object
}

// namedVariables are the variables that a file names: in a container, in a
// ConfigMap or Secret that becomes its environment, or in a patch of it.
func namedVariables(t *testing.T, path string) []string {
	t.Helper()
	var names []string
	for _, variable := range environment(t, path) {
		names = append(names, variable.Name)
	}
	if filepath.Base(path) == "kustomization.yaml" {
		for _, generator := range readKustomization(t, path).ConfigMapGenerator {
			for _, literal := range generator.Literals {
				name, _, _ := strings.Cut(literal, "=")
				names = append(names, name)
			}
		}
		return names
	}
	for _, object := range decode(t, path) {
		switch object := object.(type) {
		case *corev1.ConfigMap:
			for name := range object.Data {
				names = append(names, name)
			}
		case *corev1.Secret:
			for name := range object.StringData {
				names = append(names, name)
			}
		}
	}
	return names
}

// environment is what a file's containers, or its patches of them, set.
func environment(t *testing.T, path string) []corev1.EnvVar {
	t.Helper()
	var variables []corev1.EnvVar
	if filepath.Base(path) == "kustomization.yaml" {
		for _, patch := range readKustomization(t, path).Patches {
			var operations envPatch
			if err := yaml.UnmarshalStrict([]byte(patch.Patch), &operations); err != nil {
				t.Fatalf("%s: patch: %v", path, err)
			}
			for _, operation := range operations {
				variables = append(variables, operation.Value...)
			}
		}
		return variables
	}
	for _, object := range decode(t, path) {
		deployment, ok := object.(*appsv1.Deployment)
		if !ok {
			continue
		}
		pod := deployment.Spec.Template.Spec
		for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
			variables = append(variables, container.Env...)
		}
	}
	return variables
}

// readKustomization also finds files that a kustomization names and that are not there.
func readKustomization(t *testing.T, path string) kustomization {
	t.Helper()
	var k kustomization
	if err := yaml.UnmarshalStrict(read(t, path), &k); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	named := k.Resources
	for _, patch := range k.Patches {
		if patch.Path != "" {
			named = append(named, patch.Path)
		}
	}
	for _, name := range named {
		if _, err := os.Stat(filepath.Join(filepath.Dir(path), name)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	return k
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// value is what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
