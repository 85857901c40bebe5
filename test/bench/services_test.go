// Package bench measures Ingot in a lab (docs/figures.md). It asserts what is right, never how fast it is.
package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/controller/service"
	"github.com/ingot-lb/ingot/test/lab/labtest"
)

var services = flag.Int("services", 2000, "how many Services get addresses")

const (
	ours   = "scale"                  // the namespace of the Services that get addresses
	others = "bare"                   // that of those which the bare loop writes
	theirs = "ingot.io/somebody-else" // the class of these
	most   = 4000                     // of which there are no more than this: they give a rate
	slow   = 20 * time.Minute         // bounds every wait
	pool   = "/apis/metallb.io/v1beta1/namespaces/metallb-system/ipaddresspools"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(bareEnv); job != "" {
		if err := bare(context.Background(), job); err != nil {
			fmt.Fprintln(os.Stderr, "bare loop:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// BenchmarkServices measures how fast so many Services that are there get addresses once there is a pool, as a share of
// a bare loop's speed at the same kube-apiserver; what that costs the controller; and how soon after a restart it
// serves a new Service. That loop is in a process of its own in the controller's place in the lab, and writes half of
// its Services before and half of them after, so that what else the machine does meanwhile counts on both sides.
func BenchmarkServices(b *testing.B) {
	for b.Loop() {
		measure(b, *services)
	}
}

func measure(b *testing.B, n int) {
	ctx, cancel := context.WithTimeout(b.Context(), 3*slow)
	defer cancel()
	l, client := start(ctx, b)
	create(ctx, b, client, ours, nil, n)
	class := theirs
	m := min(n, most)
	create(ctx, b, client, others, &class, m)
	seen := watch(ctx, b, client, ours)
	b.Logf("%d Services, and %d others", n, m)

	first := bareLoop(ctx, b, l, 0, m/2)
	before := controller(ctx, b, l)
	began := time.Now()
	createPool(ctx, b, client)
	seen.until(b, "addresses of all Services", func() bool { return len(seen.addresses) == n })
	addressed := seen.last.Sub(began)
	seen.until(b, "events of all Services", func() bool { return seen.events == n })
	told := time.Since(began)
	after := controller(ctx, b, l)
	second := bareLoop(ctx, b, l, m/2, m)
	b.Logf("the bare loop took %v for its first half and %v for the other", first, second)

	rate, bareRate := float64(n)/addressed.Seconds(), float64(m)/(first+second).Seconds()
	b.ReportMetric(addressed.Seconds(), "s-to-all")
	b.ReportMetric(rate, "services/s")
	b.ReportMetric(bareRate, "bare/s")
	b.ReportMetric(rate/bareRate, "of-bare")
	b.ReportMetric(float64(n)/told.Seconds()/bareRate, "of-bare-with-events")
	b.ReportMetric((after.cpu - before.cpu).Seconds(), "controller-cpu-s")
	b.ReportMetric(after.resident, "controller-MiB")
	b.ReportMetric(after.most, "controller-peak-MiB")
	b.ReportMetric(float64(seen.writes())/float64(n), "writes/service")
	distinct(ctx, b, client, n)

	settled := versions(ctx, b, client)
	restart(ctx, b, l, client, seen, n)
	rewritten := 0
	for name, version := range versions(ctx, b, client) {
		if was, ok := settled[name]; ok && was != version {
			rewritten++
		}
	}
	b.ReportMetric(float64(rewritten), "rewritten")
	if rewritten > 0 {
		b.Errorf("a restart wrote %d of %d settled Services", rewritten, n)
	}
}

// start builds a lab without kube-proxy, which would make all of the machine's work of rules for addresses.
func start(ctx context.Context, b *testing.B) (*labtest.Lab, kubernetes.Interface) {
	b.Helper()
	const nodes = 3
	l, client := startLab(ctx, b, nodes)
	for i := range nodes {
		if err := l.Stop(ctx, fmt.Sprintf("kube-proxy/node%d", i+1)); err != nil {
			b.Fatal(err)
		}
	}
	return l, client
}

func startLab(ctx context.Context, b *testing.B, nodes int) (*labtest.Lab, kubernetes.Interface) {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Fatal("the lab is made of network namespaces, which needs root")
	}
	dir, err := os.MkdirTemp("", "ingot-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := labtest.Start(ctx, labProgram(b), dir, labtest.Options{Nodes: nodes})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			b.Error(err)
		}
	})
	client, err := newClient(l.KubeConfig())
	if err != nil {
		b.Fatal(err)
	}
	return l, client
}

func labProgram(b *testing.B) string {
	b.Helper()
	program, err := filepath.Abs("../../bin/lab")
	if err != nil {
		b.Fatal(err)
	}
	return program
}

// newClient is as fast as the controller's own.
func newClient(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{} // of the webhook: there is no pool yet
	return kubernetes.NewForConfig(service.Compact(config))
}

// create makes a namespace with n Services s0 ….
func create(ctx context.Context, b *testing.B, client kubernetes.Interface, namespace string, class *string, n int) {
	b.Helper()
	if _, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	err := together(0, n, func(i int) error { return createService(ctx, client, namespace, fmt.Sprintf("s%d", i), class) })
	if err != nil {
		b.Fatal(err)
	}
}

func createService(ctx context.Context, client kubernetes.Interface, namespace, name string, class *string) error {
	_, err := client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: class, AllocateLoadBalancerNodePorts: new(bool),
			Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	return err
}

func createPool(ctx context.Context, b *testing.B, client kubernetes.Interface) {
	b.Helper()
	err := client.CoreV1().RESTClient().Post().AbsPath(pool).SetHeader("Content-Type", "application/json").
		Body([]byte(`{"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "scale"}, "spec": {"addresses": ["10.200.0.0/16"]}}`)).
		Do(ctx).Error()
	if err != nil {
		b.Fatal(err)
	}
}

// distinct checks what the kube-apiserver has, not what a watch told.
func distinct(ctx context.Context, b *testing.B, client kubernetes.Interface, n int) {
	b.Helper()
	list, err := client.CoreV1().Services(ours).List(ctx, metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	holders := map[string]string{}
	for _, svc := range list.Items {
		if len(svc.Status.LoadBalancer.Ingress) != 1 {
			b.Errorf("Service %s has %d addresses", svc.Name, len(svc.Status.LoadBalancer.Ingress))
			continue
		}
		ip := svc.Status.LoadBalancer.Ingress[0].IP
		if holder, ok := holders[ip]; ok {
			b.Errorf("Services %s and %s both have %s", holder, svc.Name, ip)
		}
		holders[ip] = svc.Name
	}
	if len(holders) != n {
		b.Errorf("%d addresses for %d Services", len(holders), n)
	}
}

// versions are the resource versions of the Services, by name.
func versions(ctx context.Context, b *testing.B, client kubernetes.Interface) map[string]string {
	b.Helper()
	list, err := client.CoreV1().Services(ours).List(ctx, metav1.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	are := map[string]string{}
	for _, svc := range list.Items {
		are[svc.Name] = svc.ResourceVersion
	}
	return are
}

// restart measures from the start of a controller's process until it has served a Service that waits: after an orderly end;
// after it was killed, with the Lease in its own name; and with that in another's, which has to expire. It returns when
// the controller has dealt with all n others too, with every one that was new at that time.
func restart(ctx context.Context, b *testing.B, l *labtest.Lab, client kubernetes.Interface, seen *observer, n int) {
	b.Helper()
	served := func(name string) time.Duration {
		b.Helper()
		if err := createService(ctx, client, ours, name, nil); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if err := l.StartPart(ctx, "controller"); err != nil {
			b.Fatal(err)
		}
		seen.until(b, "an address after a restart", func() bool { return seen.addresses[ours+"/"+name] != "" })
		return seen.last.Sub(began)
	}
	if err := l.Kill(ctx, "controller"); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(served("killed").Seconds(), "s-kill-to-served")
	if err := l.Kill(ctx, "controller"); err != nil {
		b.Fatal(err)
	}
	inherit(ctx, b, client)
	b.ReportMetric(served("inherited").Seconds(), "s-foreign-lease-to-served")
	if err := l.Stop(ctx, "controller"); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(served("first").Seconds(), "s-restart-to-served")
	waitFor(b, "the restarted controller looks at every Service", func() error {
		processed, err := metric(ctx, l, "metallb_k8s_client_updates_total")
		if err == nil && processed < float64(n+3) {
			err = fmt.Errorf("it has looked at %v of %d", processed, n+3)
		}
		return err
	})
	if err := createService(ctx, client, ours, "last", nil); err != nil {
		b.Fatal(err)
	}
	seen.until(b, "an address after all that", func() bool { return seen.addresses[ours+"/last"] != "" })
	b.ReportMetric(controller(ctx, b, l).cpu.Seconds(), "restart-cpu-s")
}

// inherit leaves the Lease in the name of a controller that was there a moment ago and is not any more.
func inherit(ctx context.Context, b *testing.B, client kubernetes.Interface) {
	b.Helper()
	leases := client.CoordinationV1().Leases("metallb-system")
	lease, err := leases.Get(ctx, "metallb-controller", metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	lease.Spec.HolderIdentity, lease.Spec.RenewTime = new("another"), new(metav1.NowMicro())
	if _, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
		b.Fatal(err)
	}
}

// metric is a value that the controller exports.
func metric(ctx context.Context, l *labtest.Lab, name string) (value float64, err error) {
	out, err := l.Exec(ctx, "control", "curl", "-sS", "http://127.0.0.1:7480/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, err := fmt.Sscan(rest, &value)
			return value, err
		}
	}
	return 0, fmt.Errorf("the controller has no metric %s", name)
}
