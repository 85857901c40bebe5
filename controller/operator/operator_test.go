package operator

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/controller/operator/conditions"
	"github.com/ingot-lb/ingot/controller/operator/render"
	"github.com/ingot-lb/ingot/test/await"
)

// ready is an installation that runs.
func ready(t *testing.T) (cluster, *Operator, func()) {
	t.Helper()
	c := newCluster(t)
	o, stop := c.operate(settings("v1.0.0"))
	c.metallb("")
	c.settle()
	return c, o, stop
}

func nodeSelector(o *unstructured.Unstructured) map[string]string {
	selector, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "spec", "nodeSelector")
	return selector
}

func TestInstalls(t *testing.T) {
	c := newCluster(t)
	o, _ := c.operate(settings("v1.0.0"))
	await.Success(t, "readiness", o.Ready)
	c.metallb("nodeSelector: {rack: a}, loadBalancerClass: example.com/a")
	await.Success(t, "the speakers to be waited for", func() error {
		waiting := c.awaitCondition("metallb", conditions.Available, metav1.ConditionFalse, "NotReady")
		if !strings.Contains(waiting.Message, "DaemonSet speaker: its latest change has not been acted on yet") {
			return fmt.Errorf("message %q", waiting.Message)
		}
		return nil
	})
	c.awaitCondition("metallb", conditions.Upgradeable, metav1.ConditionFalse, "RolloutUnderWay")
	c.settle()
	c.awaitCondition("metallb", conditions.Progressing, metav1.ConditionFalse, "Complete")
	c.awaitCondition("metallb", conditions.Degraded, metav1.ConditionFalse, "AsExpected")
	since := c.awaitCondition("metallb", conditions.Upgradeable, metav1.ConditionTrue, "AsExpected").LastTransitionTime

	for name, resource := range map[string]schema.GroupVersionResource{"webhooks": services, "ingot-webhooks": hooks, "controller": policies} {
		if got := c.get(resource, name).GetLabels()[render.ManagedByLabel]; got != render.ManagedBy {
			t.Errorf("%s is labelled as managed by %q", name, got)
		}
	}
	if owners := c.get(hooks, "ingot-webhooks").GetOwnerReferences(); len(owners) != 1 || owners[0].Name != "metallb-system:operator" {
		t.Errorf("owners %v", owners)
	}
	if diff := cmp.Diff(map[string]string{"rack": "a", "kubernetes.io/os": "linux"}, nodeSelector(c.get(daemonSets, "speaker"))); diff != "" {
		t.Error(diff)
	}
	await.True(t, "an event", func() bool { return slices.Contains(c.events(), conditions.Available) })

	// What is said no longer is not done any longer.
	c.metallb("logLevel: info")
	await.True(t, "the selector to go", func() bool { return len(nodeSelector(c.get(daemonSets, "speaker"))) == 1 })
	c.settle()
	if now := c.awaitCondition("metallb", conditions.Degraded, metav1.ConditionFalse, "AsExpected"); now.LastTransitionTime.After(since.Time) {
		t.Errorf("Degraded changed at %v without having been anything else", now.LastTransitionTime)
	}
}

// TestWhatIsNotWantedAnyMoreGoes, and what is called so by others stays.
func TestWhatIsNotWantedAnyMoreGoes(t *testing.T) {
	c, _, stop := ready(t)
	c.apply(policies, `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: mine, namespace: metallb-system, labels: {app.kubernetes.io/managed-by: metallb-operator}}, spec: {podSelector: {}}}`)
	stop()
	without := settings("v1.0.0")
	without.NetworkPolicies = false
	c.operate(without)
	await.Success(t, "policies to go", func() error {
		list, err := c.in(policies).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) != 1 || list.Items[0].GetName() != "mine" {
			return fmt.Errorf("%d policies", len(list.Items))
		}
		return nil
	})
}

func TestDriftIsPutRight(t *testing.T) {
	c, o, _ := ready(t)
	// An addition that nobody minds.
	c.patch(deployments, "controller", `{"metadata":{"annotations":{"example.com/mine":"yes"}},"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
	c.patch(hooks, "ingot-webhooks", `{"metadata":{"annotations":{"example.com/mine":"yes"}}}`)

	c.patch(deployments, "controller", `{"spec":{"replicas":0}}`)
	await.True(t, "replicas", func() bool {
		n, _, _ := unstructured.NestedInt64(c.get(deployments, "controller").Object, "spec", "replicas")
		return n == 1
	})
	uid := c.get(daemonSets, "speaker").GetUID()
	if err := c.in(daemonSets).Delete(t.Context(), "speaker", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await.Success(t, "another DaemonSet", func() error {
		d, err := c.in(daemonSets).Get(t.Context(), "speaker", metav1.GetOptions{})
		if err == nil && d.GetUID() == uid {
			err = fmt.Errorf("it is still the one")
		}
		return err
	})
	c.patch(services, "webhooks", `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"me"}},"spec":{"ports":[{"name":"https","port":444,"targetPort":9443}]}}`)
	await.True(t, "port and label", func() bool {
		s, err := c.in(services).Get(t.Context(), "webhooks", metav1.GetOptions{})
		if err != nil {
			return false // being made anew
		}
		ports, _, _ := unstructured.NestedSlice(s.Object, "spec", "ports")
		return s.GetLabels()[render.ManagedByLabel] == render.ManagedBy && len(ports) == 1 && ports[0].(map[string]any)["port"] == int64(443)
	})
	// Additions that make something else of it.
	c.patch(deployments, "controller", `{"spec":{"template":{"spec":{"hostNetwork":true}}}}`)
	c.patchAs(types.StrategicMergePatchType, daemonSets, "speaker", `{"spec":{"template":{"spec":{"containers":[{"name":"speaker","env":[{"name":"HTTP_PROXY","value":"proxy"}],"securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}}}}`)
	await.True(t, "additions to go", func() bool {
		_, onHost, _ := unstructured.NestedBool(c.get(deployments, "controller").Object, "spec", "template", "spec", "hostNetwork")
		speaker, err := json.Marshal(c.get(daemonSets, "speaker").Object["spec"])
		return err == nil && !onHost && !strings.Contains(string(speaker), "HTTP_PROXY") && !strings.Contains(string(speaker), "SYS_ADMIN")
	})
	restarted, _, _ := unstructured.NestedString(c.get(deployments, "controller").Object, "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
	if restarted != "now" || c.get(deployments, "controller").GetAnnotations()["example.com/mine"] != "yes" || c.get(hooks, "ingot-webhooks").GetAnnotations()["example.com/mine"] != "yes" {
		t.Error("what others have added is gone")
	}
	await.True(t, "repairs to be counted", func() bool { return collected(t, o, "ingot_operator_repairs_total", "Deployment") >= 1 })

	// At rest nothing is written.
	c.settle()
}

func TestWhatOthersMadeIsTheirs(t *testing.T) {
	c := newCluster(t)
	c.apply(services, `{apiVersion: v1, kind: Service, metadata: {name: webhooks, namespace: metallb-system}, spec: {ports: [{port: 80}], selector: {app: other}}}`)
	c.operate(settings("v1.0.0"))
	c.metallb("")
	foreign := c.awaitCondition("metallb", conditions.Degraded, metav1.ConditionTrue, "ForeignObject")
	if want := "Service webhooks: not made by the operator; delete it, or let the operator have it by the annotation ingot.io/adopt=true of this object"; foreign.Message != want {
		t.Errorf("message %q, want %q", foreign.Message, want)
	}
	c.complete(deployments, "controller") // the rest is made
	selector, _, _ := unstructured.NestedStringMap(c.get(services, "webhooks").Object, "spec", "selector")
	if selector["app"] != "other" {
		t.Errorf("selector %v", selector)
	}
	c.patch(installations, "metallb", `{"metadata":{"annotations":{"ingot.io/adopt":"true"}}}`)
	c.awaitCondition("metallb", conditions.Degraded, metav1.ConditionFalse, "AsExpected")
	taken := c.get(services, "webhooks")
	selector, _, _ = unstructured.NestedStringMap(taken.Object, "spec", "selector")
	ports, _, _ := unstructured.NestedSlice(taken.Object, "spec", "ports")
	if selector["app"] != "metallb" || len(ports) != 1 || ports[0].(map[string]any)["port"] != int64(443) {
		t.Errorf("selector %v, ports %v", selector, ports)
	}
}

func TestOneName(t *testing.T) {
	c := newCluster(t)
	c.operate(settings("v1.0.0"))
	c.apply(installations, "{apiVersion: metallb.io/v1beta1, kind: MetalLB, metadata: {name: other, namespace: metallb-system}, spec: {}}")
	c.awaitCondition("other", conditions.Degraded, metav1.ConditionTrue, "IncorrectMetalLBResourceName")
	c.metallb("")
	c.awaitCondition("metallb", conditions.Progressing, metav1.ConditionTrue, "RollingOut")
	if f := c.get(installations, "other").GetFinalizers(); len(f) > 0 {
		t.Errorf("finalizers %v", f)
	}
}

func TestItsEnd(t *testing.T) {
	c, _, stop := ready(t)
	c.apply(deployments, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: mine, namespace: metallb-system, labels: {app: metallb, component: controller, app.kubernetes.io/managed-by: metallb-operator}}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}`)
	// While the operator is away nothing happens, and nothing is forgotten.
	stop()
	if err := c.in(installations).Delete(t.Context(), "metallb", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if f := c.get(installations, "metallb").GetFinalizers(); len(f) != 1 {
		t.Fatalf("finalizers %v", f)
	}
	c.operate(settings("v1.0.0"))
	await.True(t, "the object to go", func() bool {
		_, err := c.in(installations).Get(t.Context(), "metallb", metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	for _, resource := range []schema.GroupVersionResource{deployments, daemonSets, policies, budgets, hooks, services} {
		list, err := c.in(resource).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			if o.GetName() != "mine" {
				t.Errorf("left: %s %s", o.GetKind(), o.GetName())
			}
		}
	}
	c.get(deployments, "mine")
	// It can begin again.
	c.metallb("")
	c.settle()
}

// TestTheObjectIsLost with its store, say: nobody has deleted it, and what it said stays.
func TestTheObjectIsLost(t *testing.T) {
	c, o, _ := ready(t)
	c.patch(installations, "metallb", `{"metadata":{"finalizers":null}}`)
	await.True(t, "the finalizer to come back", func() bool { return len(c.get(installations, "metallb").GetFinalizers()) == 1 })
	uid := c.get(daemonSets, "speaker").GetUID()
	c.lose("metallb")
	await.True(t, "the operator to see it", func() bool { return collected(t, o, "ingot_operator_condition_bool", conditions.Available) < 0 })
	if c.get(daemonSets, "speaker").GetUID() != uid {
		t.Error("another DaemonSet")
	}
}

// TestUpgradeOrder: apiserver, speakers, controller, webhooks, one after the other.
func TestUpgradeOrder(t *testing.T) {
	c, _, stop := ready(t)
	c.apply(deployments, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: apiserver, namespace: metallb-system}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: apiserver, image: new}]}}}}`)
	c.apply(speakerStates, `{apiVersion: metallb.io/v1beta1, kind: SpeakerState, metadata: {name: node1, namespace: metallb-system}, status: {node: node1, state: Connected, version: v1.0.0}}`)
	stop()
	next := settings("v1.1.0")
	c.operate(next)
	runs := func() (versions []string) {
		for _, image := range []string{c.image(daemonSets, "speaker"), c.image(deployments, "controller"), c.image(deployments, "webhooks")} {
			_, version, _ := strings.Cut(image, ":")
			versions = append(versions, version)
		}
		return versions
	}
	stage := func(want string, versions ...string) {
		t.Helper()
		held := c.awaitCondition("metallb", conditions.Progressing, metav1.ConditionTrue, "Upgrading")
		await.Success(t, want, func() error {
			if held = c.conditions("metallb")[conditions.Progressing]; !strings.Contains(held.Message, want) {
				return fmt.Errorf("%q", held.Message)
			}
			return nil
		})
		if diff := cmp.Diff(versions, runs()); diff != "" {
			t.Errorf("while %s (-want +got):\n%s", want, diff)
		}
		if u := c.conditions("metallb")[conditions.Upgradeable]; u.Status != metav1.ConditionFalse || u.Reason != "RolloutUnderWay" {
			t.Errorf("while %s: %+v", want, u)
		}
	}
	stage("speaker waits for the apiserver", "v1.0.0", "v1.0.0", "v1.0.0")
	c.complete(deployments, "apiserver")
	stage("controller waits for speaker: DaemonSet speaker: its latest change", "v1.1.0", "v1.0.0", "v1.0.0")
	c.complete(daemonSets, "speaker")
	stage("webhooks waits for controller: Deployment controller: its latest change", "v1.1.0", "v1.1.0", "v1.0.0")
	c.complete(deployments, "controller")
	await.True(t, "webhooks", func() bool { return runs()[2] == "v1.1.0" })
	c.settle()
	c.awaitCondition("metallb", conditions.Upgradeable, metav1.ConditionFalse, "SpeakersTooOld")
	c.apply(speakerStates, `{apiVersion: metallb.io/v1beta1, kind: SpeakerState, metadata: {name: node1, namespace: metallb-system}, status: {node: node1, state: Connected, version: v1.1.0}}`)
	c.patch(installations, "metallb", `{"metadata":{"annotations":{"look":"again"}}}`)
	c.awaitCondition("metallb", conditions.Upgradeable, metav1.ConditionTrue, "AsExpected")
}

// TestRefusedPodsAreTold: of Pods that are not even made the Deployment knows why.
func TestRefusedPodsAreTold(t *testing.T) {
	c, _, _ := ready(t)
	c.metallb("controllerConfig: {priorityClassName: none-such}")
	await.True(t, "the change", func() bool {
		class, _, _ := unstructured.NestedString(c.get(deployments, "controller").Object, "spec", "template", "spec", "priorityClassName")
		return class == "none-such"
	})
	c.patch(deployments, "controller", fmt.Sprintf(`{"status":{"observedGeneration":%d,"replicas":1,"updatedReplicas":0,"conditions":[
		{"type":"ReplicaFailure","status":"True","reason":"FailedCreate","message":"no PriorityClass with name none-such was found"}]}}`, c.get(deployments, "controller").GetGeneration()), "status")
	await.True(t, "the reason", func() bool {
		m := c.awaitCondition("metallb", conditions.Available, metav1.ConditionFalse, "NotReady").Message
		return strings.Contains(m, "Deployment controller: 0 of 1 Pods run what is wanted (no PriorityClass with name none-such was found")
	})
}
