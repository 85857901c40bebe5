// Package rotation proves that certificates and CAs change under load without a failed call or a dropped stream, in a
// lab with two apiservers whose certificates live for less than a minute.
package rotation

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/test/lab/labtest"
)

const (
	system    = "metallb-system"
	rotations = 10
	// long bounds every wait. It is far above what anything takes, so that no test depends on the machine's speed.
	long = 90 * time.Second
)

// lives are the shortest at which a busy machine still has 10 s to tell everybody of the next CA, four times what it takes
// when it is worst: a third of 40 s, less two overlaps, and more for what certificates are dated back.
var lives = []string{"apiserver=--ca-lifetime=40s", "apiserver=--certificate-lifetime=20s", "apiserver=--ca-overlap=" + overlap.String()}

// overlap is for how long a CA is trusted before it signs and after.
const overlap = 4 * time.Second

func TestMain(m *testing.M) {
	if lab := os.Getenv(dialEnv); lab != "" {
		if err := dial(lab); err != nil {
			fmt.Fprintln(os.Stderr, "dialling:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// rig is the lab, with clients that try nothing again by themselves.
type rig struct {
	*testing.T
	lab     *labtest.Lab
	config  *rest.Config
	client  kubernetes.Interface
	objects dynamic.ResourceInterface
}

func newRig(t *testing.T, dir string, o labtest.Options) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the lab is made of network namespaces, which needs root: run the tests as root")
	}
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	lab, err := labtest.Start(ctx, filepath.Join(bin, "lab"), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r := &rig{T: t, lab: lab}
	if r.config, err = clientcmd.BuildConfigFromFlags("", lab.KubeConfig()); err != nil {
		t.Fatal(err)
	}
	r.config.QPS = -1
	r.config.WarningHandler = rest.NoWarnings{}
	if r.client, err = kubernetes.NewForConfig(r.config); err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.objects = objects.Resource(schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "bfdprofiles"}).Namespace(system)
	return r
}

// TestTenRotations: calls of the aggregated API and of webhooks go on, a watch of the API and the streams of a speaker stay
// open, and whoever connects anew with the bundle that is mounted is never shown what it does not trust.
func TestTenRotations(t *testing.T) {
	r := newRig(t, t.TempDir(), labtest.Options{Nodes: 1, APIServers: 2, Router: "none", Args: lives})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	streams := r.streams(2)
	_, err := r.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Patch(t.Context(), "ingot-webhooks",
		types.StrategicMergePatchType, []byte(webhooksPatch(unhurried)), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.reachWebhooks()
	unanswered, answered := r.kubeAPIServer("apiserver_admission_webhook_fail_open_count"), r.answers()
	seen := r.watch(ctx)
	var work sync.WaitGroup
	var calls, admissions int
	work.Go(func() { calls = r.call(ctx) })
	work.Go(func() { admissions = r.admit(ctx) })
	var connections dialled
	work.Go(func() { connections = r.dial() })

	r.awaitRotations(rotations)

	cancel()
	if err := os.WriteFile(stopFile(r.lab.Dir()), nil, 0o600); err != nil {
		t.Error(err)
	}
	work.Wait()
	t.Logf("%d calls, %d admissions, %d events, %d connections to whom %d certificates were shown, %d of them late",
		calls, admissions, <-seen, connections.Connections, connections.Served, connections.Late)
	for _, f := range connections.Failures {
		t.Error(f)
	}
	if calls < 100 || admissions < 100 || connections.Connections < 100 {
		t.Error("that is too little to prove anything")
	}
	// Five servers, of which two show the same, in eleven lives at least.
	if connections.Served < 3*(rotations+1) {
		t.Errorf("%d certificates were shown, want %d at least", connections.Served, 3*(rotations+1))
	}
	if again := r.streams(2); again != streams {
		t.Errorf("the speaker opened %v streams, and %v before", again, streams)
	}
	if n := r.kubeAPIServer("apiserver_admission_webhook_fail_open_count") - unanswered; n != 0 {
		t.Errorf("%v calls of webhooks failed", n)
	}
	if n := r.answers() - answered; n < float64(admissions) {
		t.Errorf("webhooks were called %v times for %d Services", n, admissions)
	}
	for url, certificates := range map[string][]string{"http://172.30.0.2:7472/metrics": {"apiserver", "ca"}, "http://127.0.0.1:7481/metrics": {"webhooks"}} {
		metrics, err := r.lab.Exec(t.Context(), "control", "curl", "-sS", "--max-time", "60", url)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range certificates {
			if ends := sum(metrics, `ingot_certificate_not_after_seconds{certificate="`+c+`"}`); ends < float64(time.Now().Add(-time.Minute).Unix()) {
				t.Errorf("%s says that the certificate of %s ends at %v", url, c, ends)
			}
			if n := sum(metrics, `ingot_certificate_refused_total{certificate="`+c+`"}`); n != 0 {
				t.Errorf("%s says that %v certificates of %s were refused", url, n, c)
			}
		}
	}
	for _, part := range []string{"apiserver/1", "apiserver/2", "webhooks"} {
		if log, err := r.lab.Run(t.Context(), "logs", part, "-n", "1000000"); err != nil || strings.Contains(log, "certificateRefused") {
			t.Errorf("%s refused a certificate (%v)", part, err)
		}
	}
}

// awaitRotations returns when n CAs after the first have signed. At all times the Secret has one that signs.
func (r *rig) awaitRotations(n int) {
	r.Helper()
	signers := map[string]bool{}
	// A rotation takes half a minute.
	deadline := time.After(time.Duration(n+2) * time.Minute)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for len(signers) <= n && !r.Failed() {
		// That the host cluster does not answer for once is nothing that a rotation has to do with.
		secret, err := r.client.CoreV1().Secrets(system).Get(r.Context(), "ingot-ca", metav1.GetOptions{})
		if err != nil {
			r.Logf("the Secret of the CA: %v", err)
		} else {
			signer := string(secret.Data[corev1.TLSCertKey])
			if signer == "" || !strings.Contains(string(secret.Data["ca.crt"]), signer) {
				r.Errorf("the bundle does not have the CA that signs")
			}
			signers[signer] = true
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.Fatalf("%d rotations in %d minutes, want %d", len(signers)-1, n+2, n)
		}
	}
}

// call uses the aggregated API until ctx ends, and returns how often.
func (r *rig) call(ctx context.Context) (calls int) {
	profile := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "metallb.io/v1beta1", "kind": "BFDProfile",
		"metadata": map[string]any{"name": "turning"}}}
	if _, err := r.objects.Create(ctx, profile, metav1.CreateOptions{}); err != nil {
		r.Error(err)
	}
	for ; ctx.Err() == nil; calls++ {
		var err error
		switch calls % 3 {
		case 0:
			_, err = r.objects.List(ctx, metav1.ListOptions{})
		case 1:
			_, err = r.objects.Get(ctx, "turning", metav1.GetOptions{})
		case 2:
			_, err = r.objects.Patch(ctx, "turning", types.MergePatchType,
				[]byte(fmt.Sprintf(`{"metadata":{"labels":{"turn":"%d"}}}`, calls)), metav1.PatchOptions{})
		}
		if err != nil && ctx.Err() == nil {
			r.Errorf("call %d, %s: %v", calls, time.Now().Format(time.TimeOnly), err)
		}
		pause(ctx)
	}
	return calls
}

// pause leaves the machine to others for a moment.
func pause(ctx context.Context) {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
	}
}

// admit writes Services that webhooks are asked about until ctx ends, and returns how many.
func (r *rig) admit(ctx context.Context) (n int) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{GenerateName: "asked-"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}}}
	for ; ctx.Err() == nil; n++ {
		_, err := r.client.CoreV1().Services("default").Create(ctx, svc, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && ctx.Err() == nil {
			r.Errorf("Service %d, %s: %v", n, time.Now().Format(time.TimeOnly), err)
		}
		pause(ctx)
	}
	return n
}

// watch watches the aggregated API until ctx ends, which it must not do by itself. How many events there were is sent then.
func (r *rig) watch(ctx context.Context) <-chan int {
	r.Helper()
	w, err := r.objects.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		r.Fatal(err)
	}
	seen := make(chan int, 1)
	go func() {
		defer w.Stop()
		events := 0
		for ev := range w.ResultChan() {
			if ev.Type == watch.Error && ctx.Err() == nil {
				r.Errorf("the watch: %v", ev.Object)
			}
			events++
		}
		if ctx.Err() == nil {
			r.Error("the watch was ended")
		}
		seen <- events
	}()
	return seen
}

// dial runs this program in the lab.
func (r *rig) dial() (all dialled) {
	self, err := os.Executable()
	if err != nil {
		r.Error(err)
		return all
	}
	out, err := r.lab.Exec(context.Background(), "control", "env", dialEnv+"="+r.lab.Dir(), self)
	if err != nil {
		r.Error(err)
		return all
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		r.Errorf("%v: %s", err, out)
	}
	return all
}

// streams is how many streams the speaker has opened, once it has one to each replica: those that did not come about are among them.
func (r *rig) streams(replicas float64) float64 {
	r.Helper()
	deadline := time.Now().Add(long)
	for {
		out, err := r.lab.Exec(r.Context(), "node1", "curl", "-sS", "--max-time", "60", "http://127.0.0.1:7472/metrics")
		if err != nil {
			r.Fatal(err)
		}
		connected := sum(out, "ingot_speaker_stream_connected")
		if connected == replicas {
			return sum(out, "grpc_client_started_total")
		}
		if time.Now().After(deadline) {
			r.Fatalf("the speaker has %v streams, want one to each of %v replicas", connected, replicas)
		}
		pause(r.Context())
	}
}

// kubeAPIServer is what the kube-apiserver counted of our webhooks.
func (r *rig) kubeAPIServer(metric string) float64 {
	r.Helper()
	out, err := r.client.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return sum(string(out), metric+`{[^}]*name="services.webhooks.ingot.io"[^}]*}`)
}

// sum adds up the samples of a metric, which is a regular expression up to its value.
func sum(metrics, metric string) (n float64) {
	for _, sample := range regexp.MustCompile(`(?m)^`+metric+`(?:{[^}]*})? ([0-9.e+]+)$`).FindAllStringSubmatch(metrics, -1) {
		if value, err := strconv.ParseFloat(sample[1], 64); err == nil {
			n += value
		}
	}
	return n
}
