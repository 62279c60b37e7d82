package main_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"
)

// TestServiceReachesThePod follows the names that only meet in the cluster:
// labels, ports, probes and the policy of the network.
func TestServiceReachesThePod(t *testing.T) {
	t.Parallel()
	for _, dir := range services {
		deployment := one[*appsv1.Deployment](t, dir)
		reached := one[*corev1.Service](t, dir)
		network := one[*networkingv1.NetworkPolicy](t, dir)
		account := one[*corev1.ServiceAccount](t, dir)
		for label, want := range deployment.Spec.Selector.MatchLabels {
			if got := deployment.Spec.Template.Labels[label]; got != want {
				t.Errorf("%s: label %s: the Deployment selects %q, the pod has %q", dir, label, want, got)
			}
		}
		if diff := cmp.Diff(deployment.Spec.Selector.MatchLabels, reached.Spec.Selector); diff != "" {
			t.Errorf("%s: selectors of Deployment and Service (-want +got):\n%s", dir, diff)
		}
		if diff := cmp.Diff(deployment.Spec.Selector.MatchLabels, network.Spec.PodSelector.MatchLabels); diff != "" {
			t.Errorf("%s: selectors of Deployment and NetworkPolicy (-want +got):\n%s", dir, diff)
		}
		if pod := deployment.Spec.Template.Spec; pod.ServiceAccountName != account.Name || ptr.Deref(account.AutomountServiceAccountToken, true) {
			t.Errorf("%s: the pod's account is %q, the ServiceAccount %q", dir, pod.ServiceAccountName, account.Name)
		}
		container := deployment.Spec.Template.Spec.Containers[0]
		for i, port := range container.Ports {
			shown, open := reached.Spec.Ports[i], network.Spec.Ingress[0].Ports[i]
			if shown.Name != port.Name || shown.TargetPort.StrVal != port.Name || open.Port.StrVal != port.Name {
				t.Errorf("%s: container port %s, Service port %s to %s, the network lets in %s", dir, port.Name, shown.Name, shown.TargetPort.StrVal, open.Port.StrVal)
			}
		}
		port := container.Ports[0]
		if port.ContainerPort != 8080 || reached.Spec.Ports[0].Port != 80 || container.Ports[1].ContainerPort != 9090 {
			t.Errorf("%s: Service port %d; container ports %v", dir, reached.Spec.Ports[0].Port, container.Ports)
		}
		probes := map[string]*corev1.Probe{"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe}
		for path, probe := range probes {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != port.Name {
				t.Errorf("%s: no probe asks for %s on port %s: %v", dir, path, port.Name, probe)
			}
		}
	}
}

// TestOnlyWebhooksAreShown reads what reaches the service from outside of the cluster.
func TestOnlyWebhooksAreShown(t *testing.T) {
	t.Parallel()
	service := one[*corev1.Service](t, "overlays/single")
	_, others := rendered(t, "overlays/webhooks")
	ingress := one[*networkingv1.Ingress](t, "overlays/webhooks")
	if len(ingress.Spec.TLS) != 1 || len(ingress.Spec.Rules) != 1 || len(ingress.Spec.Rules[0].HTTP.Paths) != 1 {
		t.Fatalf("the Ingress: %+v", ingress.Spec)
	}
	shown := ingress.Spec.Rules[0].HTTP.Paths[0]
	if shown.Path != "/v1/webhooks/" || *shown.PathType != networkingv1.PathTypePrefix || shown.Backend.Service.Name != service.Name || shown.Backend.Service.Port.Name != service.Spec.Ports[0].Name {
		t.Errorf("the Ingress shows %+v", shown)
	}
	want := `  rules:
  - backendRefs:
    - name: versions-service
      port: 80
    matches:
    - path:
        type: PathPrefix
        value: /v1/webhooks/
`
	if route := others["HTTPRoute"]; !strings.HasSuffix(route, want) || !strings.Contains(route, "sectionName: https\n") {
		t.Errorf("the HTTPRoute:\n%s", route)
	}
}

// TestDatabaseForTryingIsReachable follows the names between the service and the trial
// database.
func TestDatabaseForTryingIsReachable(t *testing.T) {
	t.Parallel()
	const dir = "overlays/postgres-trial"
	database := one[*appsv1.StatefulSet](t, dir)
	reached := one[*corev1.Service](t, dir)
	network := one[*networkingv1.NetworkPolicy](t, dir)
	labels := database.Spec.Template.Labels
	for what, selector := range map[string]map[string]string{
		"StatefulSet": database.Spec.Selector.MatchLabels, "Service": reached.Spec.Selector, "NetworkPolicy": network.Spec.PodSelector.MatchLabels,
	} {
		for label, want := range selector {
			if labels[label] != want {
				t.Errorf("the %s selects %s=%s, the pod has %q", what, label, want, labels[label])
			}
		}
	}
	caller := network.Spec.Ingress[0].From[0].PodSelector.MatchLabels
	pod := one[*appsv1.Deployment](t, "overlays/ha").Spec.Template.Labels
	for label, want := range caller {
		if pod[label] != want {
			t.Errorf("the policy lets in %s=%s, the service's pods have %q", label, want, pod[label])
		}
	}
	out := one[*networkingv1.NetworkPolicy](t, "overlays/ha").Spec.Egress
	if !slices.ContainsFunc(out, func(rule networkingv1.NetworkPolicyEgressRule) bool {
		return slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntValue() == 5432 })
	}) {
		t.Error("the network lets no replica to its database")
	}
}
