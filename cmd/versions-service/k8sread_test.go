package main_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// manifestFiles are all manifests below k8s.
func manifestFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(manifestDir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".yaml" {
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
	if err := errors.Join(appsv1.AddToScheme(scheme), corev1.AddToScheme(scheme), policyv1.AddToScheme(scheme)); err != nil {
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
		object, _, err := decoder.Decode(withoutDirectives(t, document), nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		objects = append(objects, object)
	}
}

// withoutDirectives leaves out what a strategic merge patch says beside the
// fields of the API, and the elements that hold nothing else.
func withoutDirectives(t *testing.T, document []byte) []byte {
	t.Helper()
	if !bytes.Contains(document, []byte("$patch:")) {
		return document // as it is: a key that is given twice is still to be found
	}
	var tree any
	if err := yaml.UnmarshalStrict(document, &tree); err != nil {
		t.Fatal(err)
	}
	var strip func(any)
	strip = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			delete(node, "$patch")
			for _, child := range node {
				strip(child)
			}
		case []any:
			for _, child := range node {
				strip(child)
			}
		}
	}
	strip(tree)
	out, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// merged is the base's Deployment with the patch of an overlay, or of none.
func merged(t *testing.T, overlay string) *appsv1.Deployment {
	t.Helper()
	var tree, patch any
	if err := yaml.UnmarshalStrict(read(t, filepath.Join(manifestDir, "base", "deployment.yaml")), &tree); err != nil {
		t.Fatal(err)
	}
	if overlay != "" {
		if err := yaml.UnmarshalStrict(read(t, filepath.Join(manifestDir, "overlays", overlay, "deployment.yaml")), &patch); err != nil {
			t.Fatal(err)
		}
		tree = merge(tree, patch)
	}
	document, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	if err := yaml.UnmarshalStrict(document, &deployment); err != nil {
		t.Fatal(err)
	}
	return &deployment
}

// merge is a strategic merge patch, as far as this repository uses one: null and
// $patch: delete remove, and lists of containers, variables, volumes and mounts
// are merged by what tells their elements apart.
func merge(base, patch any) any {
	switch patch := patch.(type) {
	case map[string]any:
		out, _ := base.(map[string]any)
		out = maps.Clone(out)
		if out == nil {
			out = map[string]any{}
		}
		for key, value := range patch {
			if value == nil {
				delete(out, key)
			} else {
				out[key] = merge(out[key], value)
			}
		}
		return out
	case []any:
		out, ok := base.([]any)
		if !ok || identity(patch[0]) == "" {
			return patch
		}
		for _, element := range patch {
			same := func(other any) bool { return identity(other) == identity(element) }
			i := slices.IndexFunc(out, same)
			switch {
			case element.(map[string]any)["$patch"] == "delete":
				out = slices.DeleteFunc(slices.Clone(out), same)
			case i < 0:
				out = append(slices.Clone(out), element)
			default:
				out = slices.Clone(out)
				out[i] = merge(out[i], element)
			}
		}
		return out
	}
	return patch
}

// identity tells the elements of a list apart, where they can be.
func identity(element any) string {
	fields, _ := element.(map[string]any)
	for _, key := range []string{"mountPath", "name"} {
		if text, ok := fields[key].(string); ok {
			return key + " " + text
		}
	}
	return ""
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
