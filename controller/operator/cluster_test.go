package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/operator/conditions"
	"github.com/ingot-lb/ingot/controller/operator/render"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/kubeapi"
)

const system = kubeapi.System

// The kinds that tests ask for.
var (
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	daemonSets  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
	services    = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	policies    = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
	budgets     = schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}
	hooks       = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}
)

// api is the one server that the tests of this package share. Nobody acts on workloads there: tests say what became of them.
var api *kubeapi.Server

func TestMain(m *testing.M) { os.Exit(kubeapi.Main(m, share)) }

func share(ctx context.Context, server *kubeapi.Server) (func(), error) {
	api = server
	return func() {}, prepare(ctx)
}

// prepare puts in the namespace, the operator's permissions as they are shipped, and a stand-in for the aggregated API.
func prepare(ctx context.Context) error {
	for _, file := range []string{"../../deploy/base/namespace.yaml", "../../deploy/operator/component/operator-rbac.yaml", "testdata/crds.yaml"} {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := api.Create(ctx, content); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return api.AwaitServed(ctx, "/apis/metallb.io/v1beta1/metallbs", "/apis/metallb.io/v1beta1/speakerstates")
}

// cluster is what a test works with, as an administrator.
type cluster struct {
	*testing.T
	client *dynamic.DynamicClient
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	client, err := dynamic.NewForConfig(api.Admin())
	if err != nil {
		t.Fatal(err)
	}
	c := cluster{t, client}
	t.Cleanup(c.sweep)
	return c
}

// sweep leaves nothing to the next test.
func (c cluster) sweep() {
	ctx := context.Background()
	for _, resource := range []schema.GroupVersionResource{installations, deployments, daemonSets, services, policies, budgets, hooks, speakerStates} {
		var objects dynamic.ResourceInterface = c.client.Resource(resource).Namespace(system)
		if resource == hooks {
			objects = c.client.Resource(resource)
		}
		list, err := objects.List(ctx, metav1.ListOptions{})
		if err != nil {
			c.Error(err)
			continue
		}
		for _, o := range list.Items {
			if len(o.GetFinalizers()) > 0 {
				if _, err := objects.Patch(ctx, o.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
					c.Error(err)
				}
			}
			if err := objects.Delete(ctx, o.GetName(), metav1.DeleteOptions{}); err != nil {
				c.Log(err) // gone with its finalizer
			}
		}
	}
}

// settings are those of a version.
func settings(version string) Options {
	images := map[string]string{}
	for _, component := range render.Components {
		images[component] = "images.example/" + component + ":" + version
	}
	return Options{Version: version, Settings: render.Settings{Namespace: system, MetricsPort: 7472, NetworkPolicies: true, Images: images}}
}

// operate runs an operator with the permissions that are shipped, until the function that is returned.
func (c cluster) operate(o Options) (*Operator, func()) {
	c.Helper()
	config := api.Config("operator")
	var err error
	if o.Client, err = kubernetes.NewForConfig(config); err != nil {
		c.Fatal(err)
	}
	if o.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		c.Fatal(err)
	}
	o.Log = slog.New(slog.NewTextHandler(testWriter{c.T}, nil))
	operator := New(o)
	ctx, cancel := context.WithCancel(c.Context())
	done := make(chan error, 1)
	go func() { done <- operator.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			c.Errorf("operator: %v", err)
		}
	}
	c.Cleanup(stop)
	return operator, stop
}

// testWriter shows the log of a test that fails.
type testWriter struct{ *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	w.Log(strings.TrimSpace(string(line)))
	return len(line), nil
}

func (c cluster) in(resource schema.GroupVersionResource) dynamic.ResourceInterface {
	if resource == hooks {
		return c.client.Resource(resource)
	}
	return c.client.Resource(resource).Namespace(system)
}

// apply writes an object as the field manager kubectl.
func (c cluster) apply(resource schema.GroupVersionResource, manifest string) {
	c.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &o.Object); err != nil {
		c.Fatal(err)
	}
	if _, err := c.in(resource).Apply(c.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "kubectl", Force: true}); err != nil {
		c.Fatal(err)
	}
}

func (c cluster) metallb(spec string) {
	c.Helper()
	c.apply(installations, "{apiVersion: metallb.io/v1beta1, kind: MetalLB, metadata: {name: metallb, namespace: metallb-system}, spec: {"+spec+"}}")
}

func (c cluster) patch(resource schema.GroupVersionResource, name, patch string, subresources ...string) {
	c.Helper()
	c.patchAs(types.MergePatchType, resource, name, patch, subresources...)
}

// patchAs is for patches that say how they are meant: a strategic one adds to lists.
func (c cluster) patchAs(kind types.PatchType, resource schema.GroupVersionResource, name, patch string, subresources ...string) {
	c.Helper()
	if _, err := c.in(resource).Patch(c.Context(), name, kind, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"}, subresources...); err != nil {
		c.Fatal(err)
	}
}

func (c cluster) get(resource schema.GroupVersionResource, name string) *unstructured.Unstructured {
	c.Helper()
	o, err := c.in(resource).Get(c.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return o
}

// image that a workload runs; empty where there is none.
func (c cluster) image(resource schema.GroupVersionResource, name string) string {
	o, err := c.in(resource).Get(c.Context(), name, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	_, image := workloadOf(o)
	return image
}

// complete says of a workload what the cluster's controllers would once all of its Pods are ready; it waits for the workload.
func (c cluster) complete(resource schema.GroupVersionResource, name string) {
	c.Helper()
	await.Success(c.T, "status of "+name, func() error { return c.completed(resource, name) })
}

func (c cluster) completed(resource schema.GroupVersionResource, name string) error {
	o, err := c.in(resource).Get(c.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	var status any = appsv1.DaemonSetStatus{ObservedGeneration: o.GetGeneration(), DesiredNumberScheduled: 3, CurrentNumberScheduled: 3, UpdatedNumberScheduled: 3, NumberReady: 3, NumberAvailable: 3}
	if resource == deployments {
		replicas, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
		n := int32(replicas)
		status = appsv1.DeploymentStatus{ObservedGeneration: o.GetGeneration(), Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": o.GetResourceVersion()}, "status": status})
	if err != nil {
		return err
	}
	_, err = c.in(resource).Patch(c.Context(), name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "controllers"}, "status")
	return err
}

// settle completes whatever is changed until everything is available.
func (c cluster) settle() {
	c.Helper()
	await.Success(c.T, "the installation to be available", func() error {
		err := errors.Join(c.completed(daemonSets, "speaker"), c.completed(deployments, "controller"), c.completed(deployments, "webhooks"))
		available := c.conditions("metallb")[conditions.Available]
		if available.Status != metav1.ConditionTrue || available.ObservedGeneration != c.get(installations, "metallb").GetGeneration() {
			err = errors.Join(err, fmt.Errorf("%+v", available))
		}
		return err
	})
}

// conditions of a MetalLB object, by type.
func (c cluster) conditions(name string) map[string]metav1.Condition {
	c.Helper()
	var m v1beta1.MetalLB
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(c.get(installations, name).Object, &m); err != nil {
		c.Fatal(err)
	}
	all := map[string]metav1.Condition{}
	for _, condition := range m.Status.Conditions {
		all[condition.Type] = condition
	}
	return all
}

// awaitCondition waits until a condition has the status and the reason, and all four are there.
func (c cluster) awaitCondition(name, kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	c.Helper()
	var found metav1.Condition
	await.Success(c.T, fmt.Sprintf("%s of %s to be %s %s", kind, name, status, reason), func() error {
		all := c.conditions(name)
		found = all[kind]
		if len(all) != 4 || found.Status != status || found.Reason != reason || found.ObservedGeneration != c.get(installations, name).GetGeneration() {
			return fmt.Errorf("%+v", all)
		}
		return nil
	})
	return found
}

// events are the reasons of those about the MetalLB object.
func (c cluster) events() []string {
	c.Helper()
	list, err := c.client.Resource(corev1.SchemeGroupVersion.WithResource("events")).Namespace(system).List(c.Context(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	var reasons []string
	for _, item := range list.Items {
		var e corev1.Event
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &e); err != nil {
			c.Fatal(err)
		}
		if e.InvolvedObject.Kind == "MetalLB" && e.Source.Component == "metallb-operator" {
			reasons = append(reasons, e.Reason)
		}
	}
	return reasons
}

// lose takes the object out of etcd, so that nobody had a say.
func (c cluster) lose(name string) {
	c.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{api.Etcd()}, Logger: zap.NewNop()})
	if err != nil {
		c.Fatal(err)
	}
	defer client.Close()
	if out, err := client.Delete(c.Context(), "/registry/metallb.io/metallbs/"+system+"/"+name); err != nil || out.Deleted != 1 {
		c.Fatalf("delete from etcd: %v, %v", out, err)
	}
}

// collected is the value of a metric with a label of this value; -1 where there is none.
func collected(t *testing.T, collector prometheus.Collector, name, label string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return -1
}
