package main_test

import (
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"k8s.io/utils/ptr"

	"github.com/refty-yapi/refty-node-versions-service/cmd/internal/service"
)

const manifestDir = "../../k8s"

// services are the kustomizations that run the service.
var services = []string{"base", "overlays/single", "overlays/ha", "overlays/sandbox"}

// TestManifestsRender decodes every object of every kustomization with the types of the
// Kubernetes API.
func TestManifestsRender(t *testing.T) {
	t.Parallel()
	app := []string{"ConfigMap", "Deployment", "NetworkPolicy", "Service", "ServiceAccount"}
	want := map[string][]string{
		"base":                    app,
		"overlays/ha":             {"ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"},
		"overlays/monitoring":     {"ConfigMap", "PrometheusRule", "ServiceMonitor"},
		"overlays/postgres-trial": {"NetworkPolicy", "Service", "StatefulSet"},
		"overlays/restore":        {"Pod"},
		"overlays/sandbox":        app,
		"overlays/single":         {"ConfigMap", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "Service", "ServiceAccount"},
		"overlays/webhooks":       {"HTTPRoute", "Ingress"},
	}
	got := map[string][]string{}
	for _, dir := range kustomizations(t) {
		objects, others := rendered(t, dir)
		for _, object := range objects {
			got[dir] = append(got[dir], object.GetObjectKind().GroupVersionKind().Kind)
		}
		for kind := range others {
			got[dir] = append(got[dir], kind)
		}
		slices.Sort(got[dir])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

// TestPodsAreRestricted asks the checks of the Pod Security admission itself, and for
// what they leave open.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, dir := range kustomizations(t) {
		for name, pod := range pods(t, dir) {
			if result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)); !result.Allowed {
				t.Errorf("%s: %s: %s", dir, name, result.ForbiddenDetail())
			}
			if ptr.Deref(pod.Spec.AutomountServiceAccountToken, true) {
				t.Errorf("%s: %s has a token of Kubernetes", dir, name)
			}
			for _, container := range pod.Spec.Containers {
				if !ptr.Deref(container.SecurityContext.ReadOnlyRootFilesystem, false) {
					t.Errorf("%s: %s can write to its root", dir, name)
				}
				for _, resource := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
					if container.Resources.Requests.Name(resource, "").IsZero() || container.Resources.Limits.Name(resource, "").IsZero() {
						t.Errorf("%s: %s: no request or no limit of %s", dir, name, resource)
					}
				}
			}
		}
	}
}

// TestManifestsNameVariablesOfTheProgram finds variables that are set in vain, and
// secrets that the base forgets.
func TestManifestsNameVariablesOfTheProgram(t *testing.T) {
	t.Parallel()
	known := service.Variables()
	for _, dir := range services {
		for _, name := range namedVariables(t, dir) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: the program reads no variable %q", dir, name)
			}
		}
	}
	base := namedVariables(t, "base")
	for _, name := range known {
		if secret, ok := strings.CutSuffix(name, "_FILE"); ok && slices.Contains(known, secret) && secret != "DATABASE_URL" && !strings.HasPrefix(secret, "OTEL_") && !slices.Contains(base, name) {
			t.Errorf("the base sets no %s", name)
		}
	}
}

// namedVariables are those that a kustomization sets, in a container or a ConfigMap.
func namedVariables(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	for _, pod := range pods(t, dir) {
		for _, variable := range pod.Spec.Containers[0].Env {
			names = append(names, variable.Name)
		}
	}
	for name := range one[*corev1.ConfigMap](t, dir).Data {
		names = append(names, name)
	}
	return names
}

// TestSecretsComeByReference keeps secrets out of what is applied.
func TestSecretsComeByReference(t *testing.T) {
	t.Parallel()
	for _, dir := range kustomizations(t) {
		objects, _ := rendered(t, dir)
		for _, object := range objects {
			if secret, ok := object.(*corev1.Secret); ok {
				t.Errorf("%s applies the Secret %s", dir, secret.Name)
			}
		}
	}
	for _, dir := range services {
		for _, name := range namedVariables(t, dir) {
			if slices.Contains(service.Variables(), name+"_FILE") {
				t.Errorf("%s: %s stands in the manifest; mount a Secret and set %[2]s_FILE", dir, name)
			}
		}
	}
}

// TestExampleSecretsFitTheDeployments has each example hold just what is
// referred to, and makes what a pod can do without optional.
func TestExampleSecretsFitTheDeployments(t *testing.T) {
	t.Parallel()
	examples := []*corev1.Secret{exampleSecret(t, "base"), exampleSecret(t, "overlays/ha")}
	want := map[string]bool{}
	for _, example := range examples {
		for key := range example.StringData {
			want[example.Name+"/"+key] = true
		}
	}
	pod := one[*appsv1.Deployment](t, "overlays/ha").Spec.Template.Spec
	folders := mountedSecrets(pod)
	got := map[string]bool{}
	for _, variable := range pod.Containers[0].Env {
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
		t.Errorf("keys of the examples and of the Deployment (-want +got):\n%s", diff)
	}
}

// mountedSecrets are the names of Secrets by the folders that the container has
// them in.
func mountedSecrets(pod corev1.PodSpec) map[string]string {
	volumes := map[string]string{}
	for _, volume := range pod.Volumes {
		if volume.Secret != nil {
			volumes[volume.Name] = volume.Secret.SecretName
		}
	}
	folders := map[string]string{}
	for _, mount := range pod.Containers[0].VolumeMounts {
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
	tests := map[string]queue{
		"overlays/single":  {Replicas: 1, Strategy: appsv1.RecreateDeploymentStrategyType, Claim: "versions-service", Mounted: true, DataDir: "/data"},
		"overlays/sandbox": {Replicas: 1, Strategy: appsv1.RecreateDeploymentStrategyType, EmptyDir: true, Mounted: true, DataDir: "/data"},
		"overlays/ha":      {Replicas: 3, Strategy: appsv1.RollingUpdateDeploymentStrategyType, DatabaseBy: "/run/secrets/versions-service-database/DATABASE_URL"},
	}
	for dir, want := range tests {
		deployment := one[*appsv1.Deployment](t, dir)
		pod := deployment.Spec.Template.Spec
		got := queue{Replicas: ptr.Deref(deployment.Spec.Replicas, 0), Strategy: deployment.Spec.Strategy.Type}
		for _, volume := range pod.Volumes {
			if volume.Name != "data" {
				continue
			}
			got.EmptyDir = volume.EmptyDir != nil
			if volume.PersistentVolumeClaim != nil {
				got.Claim = volume.PersistentVolumeClaim.ClaimName
			}
		}
		got.Mounted = slices.ContainsFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool {
			return cmp.Equal(m, corev1.VolumeMount{Name: "data", MountPath: "/data"})
		})
		for _, variable := range pod.Containers[0].Env {
			switch variable.Name {
			case "DATA_DIR":
				got.DataDir = variable.Value
			case "DATABASE_URL_FILE":
				got.DatabaseBy = variable.Value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", dir, diff)
		}
		if pod.SecurityContext == nil || ptr.Deref(pod.SecurityContext.FSGroup, 0) != 65532 ||
			ptr.Deref(pod.SecurityContext.FSGroupChangePolicy, "") != corev1.FSGroupChangeOnRootMismatch {
			t.Errorf("%s: the volume is not given to the group: %v", dir, pod.SecurityContext)
		}
	}
	claim := one[*corev1.PersistentVolumeClaim](t, "overlays/single")
	if modes := claim.Spec.AccessModes; claim.Name != "versions-service" || !slices.Equal(modes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}) {
		t.Errorf("claim %s has the modes %v", claim.Name, modes)
	}
}

// TestReplicasAreSpreadAndSpared follows the labels that pods are counted by, and
// leaves a rollout no moment without a replica.
func TestReplicasAreSpreadAndSpared(t *testing.T) {
	t.Parallel()
	deployment := one[*appsv1.Deployment](t, "overlays/ha")
	selected := deployment.Spec.Selector.MatchLabels
	budget := one[*policyv1.PodDisruptionBudget](t, "overlays/ha")
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
	if rolling := deployment.Spec.Strategy.RollingUpdate; rolling == nil || rolling.MaxUnavailable.IntValue() != 0 {
		t.Errorf("a rollout may take a replica away first: %v", rolling)
	}
}

// TestImageHasTheDataFolder compares what the image and the manifests call it.
func TestImageHasTheDataFolder(t *testing.T) {
	t.Parallel()
	dockerfile := string(read(t, filepath.Join("..", "..", "Dockerfile")))
	for _, line := range []string{"ENV DATA_DIR=/data", "VOLUME /data", "COPY --from=build --chown=65532:65532 /data /data"} {
		if !slices.Contains(strings.Split(dockerfile, "\n"), line) {
			t.Errorf("the Dockerfile has no line %q", line)
		}
	}
}

// TestImagesAndUsers has the sandbox run the image that holds it, and a restored file
// belong to the user that the service runs as.
func TestImagesAndUsers(t *testing.T) {
	t.Parallel()
	images := map[string]string{}
	for _, dir := range services {
		name, _, _ := strings.Cut(one[*appsv1.Deployment](t, dir).Spec.Template.Spec.Containers[0].Image, ":")
		images[dir] = path.Base(name)
	}
	const program = "refty-node-versions-service"
	want := map[string]string{"base": program, "overlays/single": program, "overlays/ha": program, "overlays/sandbox": program + "-sandbox"}
	if diff := cmp.Diff(want, images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	restored := one[*corev1.Pod](t, "overlays/restore").Spec
	single := one[*appsv1.Deployment](t, "overlays/single").Spec.Template.Spec
	if diff := cmp.Diff(single.SecurityContext, restored.SecurityContext); diff != "" {
		t.Errorf("the service's pod and the one beside its volume (-want +got):\n%s", diff)
	}
	if claim := one[*corev1.PersistentVolumeClaim](t, "overlays/single").Name; restored.Volumes[0].PersistentVolumeClaim.ClaimName != claim {
		t.Errorf("the volume is %+v, want the claim %s", restored.Volumes[0], claim)
	}
}

// TestMessagesOfThePage finds each message that the page explains in the code.
func TestMessagesOfThePage(t *testing.T) {
	t.Parallel()
	_, section, _ := strings.Cut(string(read(t, filepath.Join(manifestDir, "README.md"))), "\n## Troubleshooting\n")
	section, _, _ = strings.Cut(section, "\n## ")
	messages := regexp.MustCompile("(?m)^\\| `([^`]+)`").FindAllStringSubmatch(section, -1)
	if len(messages) < 10 {
		t.Fatalf("only %d messages are explained", len(messages))
	}
	var code strings.Builder
	for _, root := range []string{"../../api", "../../cmd/internal/service", "../../pkg"} {
		if err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
				code.Write(read(t, name))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, message := range messages {
		if !strings.Contains(code.String(), message[1]) {
			t.Errorf("no code says %q", message[1])
		}
	}
}

// TestAlertsAreAboutMetrics holds the rules and the dashboard against the page's table,
// which another test holds against the program, and has each alert say what to do.
func TestAlertsAreAboutMetrics(t *testing.T) {
	t.Parallel()
	_, others := rendered(t, "overlays/monitoring")
	rules := others["PrometheusRule"]
	page := string(read(t, filepath.Join(manifestDir, "README.md")))
	dashboard := one[*corev1.ConfigMap](t, "overlays/monitoring").Data["dashboard.json"]
	names := regexp.MustCompile(`versions_service_[a-z_]+`).FindAllString(rules+dashboard, -1)
	for _, name := range names {
		if !strings.Contains(page, "`"+strings.TrimSuffix(name, "_bucket")+"`") {
			t.Errorf("k8s/README.md has no row for %s", name)
		}
	}
	alerts := regexp.MustCompile(`(?m)^ *(- )?alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if runbooks := strings.Count(rules, "runbook:"); len(alerts) == 0 || runbooks != len(alerts) {
		t.Errorf("%d alerts, %d runbooks", len(alerts), runbooks)
	}
	monitor := others["ServiceMonitor"]
	if port := one[*corev1.Service](t, "overlays/single").Spec.Ports[1].Name; !strings.Contains(monitor, "port: "+port+"\n") {
		t.Errorf("no endpoint of the ServiceMonitor is the port %s:\n%s", port, monitor)
	}
}
