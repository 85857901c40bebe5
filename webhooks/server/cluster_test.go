package server

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/ingot-lb/ingot/certs"
	"github.com/ingot-lb/ingot/deploy"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/kubeapi"
	"github.com/ingot-lb/ingot/webhooks/registration"
)

const system = kubeapi.System

// api is the one server that the tests of this package share, with what deploy/ ships of webhooks.
var api *kubeapi.Server

func TestMain(m *testing.M) { os.Exit(kubeapi.Main(m, share)) }

func share(ctx context.Context, server *kubeapi.Server) (func(), error) {
	api = server
	if err := install(ctx); err != nil {
		return nil, err
	}
	return keepCertificates(ctx)
}

const peersDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: bgppeers.metallb.io}
spec:
  group: metallb.io
  names: {kind: BGPPeer, listKind: BGPPeerList, plural: bgppeers, singular: bgppeer}
  scope: Namespaced
  versions:
  - {name: v1beta2, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// keepCertificates does what the apiserver does beside its API, with the ServiceAccount that is shipped, until stop.
func keepCertificates(ctx context.Context) (stop func(), err error) {
	client, err := kubernetes.NewForConfig(api.Config("apiserver"))
	if err != nil {
		return nil, err
	}
	keeper, err := certs.Open(ctx, certs.Options{Client: client, Namespace: system, Names: []string{"apiserver"}, Webhooks: "webhooks"})
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = keeper.Run(running) // it returns the context's error
	}()
	return func() { cancel(); <-ended }, nil
}

// install puts in what is shipped, with a stand-in for the aggregated API.
func install(ctx context.Context) error {
	definitions, err := os.ReadFile("../../controller/service/testdata/crds.yaml")
	if err != nil {
		return err
	}
	manifests := [][]byte{definitions, []byte(peersDefinition)}
	for _, name := range []string{"namespace.yaml", "apiserver-rbac.yaml", "webhooks-rbac.yaml", "webhooks.yaml"} {
		content, err := fs.ReadFile(deploy.Base(), name)
		if err != nil {
			return err
		}
		manifests = append(manifests, content)
	}
	if err := api.Create(ctx, manifests...); err != nil {
		return err
	}
	if err := api.AwaitServed(ctx, "/apis/metallb.io/v1beta1/ipaddresspools", "/apis/metallb.io/v1beta2/bgppeers"); err != nil {
		return err
	}
	admin, err := kubernetes.NewForConfig(api.Admin())
	if err != nil {
		return err
	}
	// There is no network of Pods here: the name leads to this machine.
	_, err = admin.CoreV1().Services(system).Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "webhooks", Namespace: system},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}}, metav1.CreateOptions{})
	return err
}

// cluster is what a test works with.
type cluster struct {
	testing.TB
	ctx       context.Context
	client    kubernetes.Interface
	objects   dynamic.Interface
	namespace string
	warnings  *warnings
}

// warnings are those that the client was given.
type warnings struct {
	mu   sync.Mutex
	text []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

// take returns what came since it was last called.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.text
	w.text = nil
	return text
}

// newCluster has a namespace for the test, and one pool.
func newCluster(t testing.TB, labels map[string]string) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	config := api.Admin()
	w := &warnings{}
	config.WarningHandler = w
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ns, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{TB: t, ctx: ctx, client: client, objects: objects, namespace: ns.Name, warnings: w}
	c.put("ipaddresspools", "v1beta1", "IPAddressPool", "web", map[string]any{"addresses": []any{"192.0.2.10/32"}})
	return c
}

// put makes an object of metallb.io that goes with the test.
func (c *cluster) put(resource, version, kind, name string, spec map[string]any) {
	c.Helper()
	objects := c.objects.Resource(schema.GroupVersionResource{Group: "metallb.io", Version: version, Resource: resource}).Namespace(system)
	_, err := objects.Create(c.ctx, &unstructured.Unstructured{Object: map[string]any{"apiVersion": "metallb.io/" + version, "kind": kind,
		"metadata": map[string]any{"name": name, "namespace": system}, "spec": spec}}, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		if err := objects.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			c.Error(err)
		}
	})
}

// start runs the program with the ServiceAccount that is shipped, until stop.
func (c *cluster) start(enforce bool) (stop func()) {
	c.Helper()
	return c.startWith(Options{Enforce: enforce})
}

// startWith is start with other flags.
func (c *cluster) startWith(o Options) (stop func()) {
	c.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.ctx)
	done := make(chan error, 1)
	go func() {
		o.Config, o.Namespace, o.Service = api.Config("webhooks"), system, "webhooks"
		o.listener, o.patience, o.Log = l, patience, slog.New(slog.DiscardHandler)
		done <- Run(ctx, o)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			c.Errorf("Run: %v", err)
		}
	})
	c.Cleanup(stop)
	c.direct(l.Addr().(*net.TCPAddr).Port, patience)
	return stop
}

// What is shipped is said nothing of where the answer takes long, and here nothing may depend on how long it takes.
const patience = 30 * time.Second

// direct has the kube-apiserver ask at a port, and wait so long for an answer. Nothing else of the configuration is other
// than shipped.
func (c *cluster) direct(port int, patience time.Duration) {
	c.Helper()
	body := fmt.Sprintf(`{"webhooks":[{"name":"services.webhooks.ingot.io","timeoutSeconds":%[2]d,"clientConfig":{"service":{"port":%[1]d}}},`+
		`{"name":"secrets.webhooks.ingot.io","timeoutSeconds":%[2]d,"clientConfig":{"service":{"port":%[1]d}}}]}`, port, int(patience.Seconds()))
	if _, err := c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Patch(c.ctx, registration.Name,
		types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
		c.Fatal(err)
	}
}

// failedOpen is how often the kube-apiserver has asked in vain, and went on.
func (c *cluster) failedOpen() (times int) {
	c.Helper()
	metrics, err := c.client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(c.ctx)
	if err != nil {
		c.Fatal(err)
	}
	for line := range strings.Lines(string(metrics)) {
		if value, ok := strings.CutPrefix(line, "apiserver_admission_webhook_fail_open_count{"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value[strings.LastIndex(value, " "):]))
			if err != nil {
				c.Fatal(err)
			}
			times += n
		}
	}
	return times
}

// awaitAsked waits until the kube-apiserver asks, and is answered: every change of the configuration takes it a moment.
func (c *cluster) awaitAsked() {
	c.Helper()
	await.True(c, "a warning about a Service", func() bool {
		c.warnings.take()
		// Whether this is warned of or refused is not the question.
		_, err := c.client.CoreV1().Services(c.namespace).Create(c.ctx, c.balancer("probe", "10.9.9.9"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "not allowed in config") ||
			slices.ContainsFunc(c.warnings.take(), func(w string) bool { return strings.Contains(w, "not allowed in config") })
	})
}

// balancer asks for an address.
func (c *cluster) balancer(name, ip string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.namespace, Annotations: map[string]string{"metallb.io/loadBalancerIPs": ip}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

func (c *cluster) create(svc *corev1.Service) (*corev1.Service, error) {
	return c.client.CoreV1().Services(c.namespace).Create(c.ctx, svc, metav1.CreateOptions{})
}

func (c *cluster) label(name, key string) error {
	_, err := c.client.CoreV1().Services(c.namespace).Patch(c.ctx, name, types.MergePatchType,
		[]byte(fmt.Sprintf(`{"metadata":{"labels":{%q:"x"}}}`, key)), metav1.PatchOptions{})
	return err
}
