package main_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// custom are the kinds whose types are not the Kubernetes API's own; what they say is
// compared as text.
var custom = []string{"HTTPRoute", "PrometheusRule", "ServiceMonitor"}

// kustomizations are the folders that kubectl apply -k takes, below k8s.
func kustomizations(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(manifestDir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Base(path) == "kustomization.yaml" {
			dir, relErr := filepath.Rel(manifestDir, filepath.Dir(path))
			dirs = append(dirs, filepath.ToSlash(dir))
			return relErr
		}
		return err
	})
	if err != nil || len(dirs) == 0 {
		t.Fatalf("kustomizations below %s: %d, %v", manifestDir, len(dirs), err)
	}
	return dirs
}

// rendered returns the objects of a kustomization, and the documents of custom kinds. A
// field that the API does not have, and one given twice, are errors.
func rendered(t *testing.T, dir string) (objects []runtime.Object, others map[string]string) {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(manifestDir, filepath.FromSlash(dir)))
	if err != nil {
		t.Fatal(err)
	}
	others = map[string]string{}
	for _, resource := range resources.Resources() {
		document, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if kind := resource.GetKind(); slices.Contains(custom, kind) {
			others[kind] = string(document)
			continue
		}
		objects = append(objects, decode(t, document))
	}
	return objects, others
}

func decode(t *testing.T, document []byte) runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(appsv1.AddToScheme(scheme), corev1.AddToScheme(scheme), networkingv1.AddToScheme(scheme), policyv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	object, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer().Decode(document, nil, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	return object
}

// one returns the only object of its kind in a kustomization.
func one[T runtime.Object](t *testing.T, dir string) T {
	t.Helper()
	var found []T
	objects, _ := rendered(t, dir)
	for _, object := range objects {
		if object, ok := object.(T); ok {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s: %d objects of type %T, want 1", dir, len(found), found)
	}
	return found[0]
}

// exampleSecret returns the Secret that a folder shows and does not apply.
func exampleSecret(t *testing.T, dir string) *corev1.Secret {
	t.Helper()
	secret, ok := decode(t, read(t, filepath.Join(manifestDir, filepath.FromSlash(dir), "secret.example.yaml"))).(*corev1.Secret)
	if !ok {
		t.Fatalf("%s: the example is no Secret", dir)
	}
	return secret
}

// pods returns the templates of the pods in a kustomization.
func pods(t *testing.T, dir string) map[string]corev1.PodTemplateSpec {
	t.Helper()
	templates := map[string]corev1.PodTemplateSpec{}
	objects, _ := rendered(t, dir)
	for _, object := range objects {
		switch object := object.(type) {
		case *appsv1.Deployment:
			templates[object.Name] = object.Spec.Template
		case *appsv1.StatefulSet:
			templates[object.Name] = object.Spec.Template
		case *corev1.Pod:
			templates[object.Name] = corev1.PodTemplateSpec{ObjectMeta: object.ObjectMeta, Spec: object.Spec}
		}
	}
	return templates
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
