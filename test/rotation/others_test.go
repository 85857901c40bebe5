package rotation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"
	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// issuer stands in for cert-manager: it makes certificates, mounts them, and injects what they are known by.
type issuer struct {
	t      *testing.T
	dir    string
	bundle []byte
	// component is what is installed beside the base.
	component []*unstructured.Unstructured
}

// issue makes a certificate for both programs by another CA, and mounts it when mounted is called.
func (i *issuer) issue() (mounted func()) {
	i.t.Helper()
	cert, key, err := certutil.GenerateSelfSignedCertKey("apiserver.metallb-system.svc", nil, []string{"webhooks.metallb-system.svc"})
	if err != nil {
		i.t.Fatal(err)
	}
	// The certificate, and then its CA.
	begin := []byte("-----BEGIN CERTIFICATE-----")
	i.bundle = append(i.bundle, cert[bytes.LastIndex(cert, begin):]...)
	return func() { i.mount(cert, key) }
}

func (i *issuer) mount(cert, key []byte) {
	i.t.Helper()
	for name, content := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(i.dir, name), content, 0o600); err != nil {
			i.t.Fatal(err)
		}
	}
}

// component is what deploy/cert-manager makes of the base.
func component(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	dir, err := os.MkdirTemp("..", "rotation-component-") // kustomize wants relative paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	overlay := "resources: [../../deploy/base]\ncomponents: [../../deploy/cert-manager]\n"
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "bin", "kubectl"), "kustomize", dir).Output()
	if err != nil {
		t.Fatalf("kustomize: %v", err)
	}
	var all []*unstructured.Unstructured
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	return all
}

// applied are the kinds of the component that a cluster without cert-manager takes, and that the lab does not run itself.
var applied = map[string]schema.GroupVersionResource{
	"APIService":                     {Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"},
	"ValidatingWebhookConfiguration": {Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"},
}

// webhooksPatch is a patch of the configuration that gives each webhook some fields.
func webhooksPatch(fields string) string {
	return `{"webhooks":[{"name":"services.webhooks.ingot.io",` + fields + `},{"name":"secrets.webhooks.ingot.io",` + fields + `}]}`
}

// unhurried has a webhook that is slow to answer, as on a busy machine, not counted as one that failed.
const unhurried = `"timeoutSeconds":30`

// inject installs what asks for a bundle, and does what the cainjector then does.
func (i *issuer) inject(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(i.bundle)
	if err != nil {
		return err
	}
	ca := string(encoded)
	for _, o := range i.component {
		resource, ok := applied[o.GetKind()]
		if !ok {
			continue
		}
		if _, err := objects.Resource(resource).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: "installer", Force: true}); err != nil {
			return err
		}
		if o.GetAnnotations()["cert-manager.io/inject-ca-from"] == "" {
			return fmt.Errorf("%s %s does not ask cert-manager", o.GetKind(), o.GetName())
		}
		patch := `{"spec":{"caBundle":` + ca + `}}`
		how := types.MergePatchType
		if o.GetKind() != "APIService" {
			how = types.StrategicMergePatchType
			patch = webhooksPatch(`"clientConfig":{"caBundle":` + ca + `},` + unhurried)
		}
		if _, err := objects.Resource(resource).Patch(ctx, o.GetName(), how, []byte(patch), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// TestCertificatesOfOthers: with files nothing is issued and nothing injected, new files are served, and bad ones are not.
func TestCertificatesOfOthers(t *testing.T) {
	i := &issuer{t: t, dir: t.TempDir(), component: component(t)}
	i.issue()()
	r := newRig(t, t.TempDir(), labtest.Options{Nodes: 1, Router: "none", Without: []string{"apiserver", "controller", "webhooks", "speaker"}})
	r.leadHere("apiserver", "https", 10443)
	r.leadHere("webhooks", "https", 9443)
	files := []string{"--tls-cert-file=" + filepath.Join(i.dir, "tls.crt"), "--tls-private-key-file=" + filepath.Join(i.dir, "tls.key")}
	api := r.start("apiserver", append(files, "--id=a", "--bind-address="+control, "--metrics-address=", "--data-dir="+t.TempDir())...)
	hooks := r.start("webhooks", append(files, "--metrics-address=")...)
	if err := i.inject(t.Context(), r.lab.KubeConfig()); err != nil {
		t.Fatal(err)
	}
	r.eventually("the aggregated API", r.list)
	r.reachWebhooks()
	unanswered := r.kubeAPIServer("apiserver_admission_webhook_fail_open_count")
	use := func(when string) {
		t.Helper()
		if err := errors.Join(r.list(), r.ask()); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		if n := r.kubeAPIServer("apiserver_admission_webhook_fail_open_count"); n != unanswered {
			t.Errorf("%s: %v calls of webhooks failed", when, n-unanswered)
		}
	}
	use("by the first certificate")

	mounted := i.issue() // both are trusted, then the second is shown
	if err := i.inject(t.Context(), r.lab.KubeConfig()); err != nil {
		t.Fatal(err)
	}
	mounted()
	api.awaitLog("certificateLoaded", 2)
	hooks.awaitLog("certificateLoaded", 2)
	use("by the second")

	cert, key, err := certutil.GenerateSelfSignedCertKey("web.example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	i.mount(cert, key)
	api.awaitLog(`it is not made out for \"apiserver.metallb-system.svc\"`, 1)
	hooks.awaitLog(`it is not made out for \"webhooks.metallb-system.svc\"`, 1)
	use("with files for somebody else")

	for _, name := range []string{"ingot-ca", "webhooks-tls"} {
		if _, err := r.client.CoreV1().Secrets(system).Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("Secret %s: %v, want that there is none", name, err)
		}
	}
	// In this namespace there is the store of the first one, and another would be refused before its certificate.
	refused := r.start("apiserver", append(files, "--id=b", "--namespace=default", "--metrics-address=", "--data-dir="+t.TempDir(), "--admin-socket=/run/ingot-apiserver/b.sock")...)
	refused.awaitLog("certificate for web.example.com", 1)
	refused.awaitLog("it is not made out for", 1)
}

// control is where the control plane of the lab is.
const control = "172.30.0.2"

// leadHere has a Service lead to a program that the lab does not know of.
func (r *rig) leadHere(service, port string, number int32) {
	r.Helper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: service + "-here", Namespace: system, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{control}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &port, Port: &number}},
	}
	if _, err := r.client.DiscoveryV1().EndpointSlices(system).Create(r.Context(), slice, metav1.CreateOptions{}); err != nil {
		r.Fatal(err)
	}
}

// program is one that runs in the lab until the end of the test.
type program struct {
	*rig
	log string
}

// start starts one of our programs as an administrator.
func (r *rig) start(name string, args ...string) program {
	r.Helper()
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		r.Fatal(err)
	}
	p := program{r, filepath.Join(r.TempDir(), name+".log")}
	line := strings.Join(append([]string{"exec", filepath.Join(bin, name), "--kubeconfig=" + filepath.Join(r.lab.Dir(), "kubeconfig.inside")}, args...), " ")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = r.lab.Exec(ctx, "control", "sh", "-c", line+" >"+p.log+" 2>&1") // its log tells
	}()
	r.Cleanup(func() { cancel(); <-ended })
	return p
}

// awaitLog waits until the program has said something so often.
func (p program) awaitLog(what string, n int) {
	p.Helper()
	p.eventually("the log has "+what, func() error {
		log, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		if got := strings.Count(string(log), what); got < n {
			return fmt.Errorf("%d times, want %d", got, n)
		}
		return nil
	})
}

func (r *rig) eventually(what string, check func() error) {
	r.Helper()
	for deadline := time.Now().Add(long); ; pause(r.Context()) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("%s: %v", what, err)
		}
	}
}

func (r *rig) list() error {
	_, err := r.objects.List(r.Context(), metav1.ListOptions{})
	return err
}

// ask writes a Service that webhooks are asked about.
func (r *rig) ask() error {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{GenerateName: "asked-"},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}}}
	_, err := r.client.CoreV1().Services("default").Create(r.Context(), svc, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// reachWebhooks waits until the kube-apiserver gets answers of webhooks, which it goes without until then.
func (r *rig) reachWebhooks() {
	r.Helper()
	r.eventually("an answer of webhooks", func() error {
		before := r.answers()
		if err := r.ask(); err != nil {
			return err
		}
		if r.answers() == before {
			return errors.New("nobody was asked")
		}
		return nil
	})
}

// answers is how often webhooks have answered.
func (r *rig) answers() float64 {
	r.Helper()
	return r.kubeAPIServer("apiserver_admission_webhook_request_total")
}

// TestTheComponentIsWhole: what is mounted is made, for the names by which programs are called, and nobody mounts a key that
// it does not need.
func TestTheComponentIsWhole(t *testing.T) {
	made := map[string][]string{}
	mounts := map[string][]any{}
	var args []string
	for _, o := range component(t) {
		switch o.GetKind() {
		case "Certificate":
			secret, _, _ := unstructured.NestedString(o.Object, "spec", "secretName")
			made[secret], _, _ = unstructured.NestedStringSlice(o.Object, "spec", "dnsNames")
		case "Deployment", "DaemonSet":
			mounts[o.GetName()], _, _ = unstructured.NestedSlice(o.Object, "spec", "template", "spec", "volumes")
			if containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers"); o.GetName() == "apiserver" {
				args, _, _ = unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
			}
		}
	}
	for secret, name := range map[string]string{"apiserver-tls": "apiserver.metallb-system.svc", "webhooks-tls": "webhooks.metallb-system.svc"} {
		if !slices.Contains(made[secret], name) {
			t.Errorf("Secret %s is made for %v, want %s", secret, made[secret], name)
		}
	}
	volume := func(workload, name string) any {
		for _, v := range mounts[workload] {
			if v.(map[string]any)["name"] == name {
				return v
			}
		}
		return nil
	}
	if diff := cmp.Diff(any(map[string]any{"name": "tls", "secret": map[string]any{"secretName": "apiserver-tls"}}), volume("apiserver", "tls")); diff != "" {
		t.Errorf("apiserver (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(any(map[string]any{"name": "ca", "secret": map[string]any{"secretName": "apiserver-tls", "optional": true,
		"items": []any{map[string]any{"key": "ca.crt", "path": "ca.crt"}}}}), volume("speaker", "ca")); diff != "" {
		t.Errorf("speaker (-want +got):\n%s", diff)
	}
	for _, flag := range []string{"--tls-cert-file=/etc/ingot/tls/tls.crt", "--tls-private-key-file=/etc/ingot/tls/tls.key", "--tls-ca-file=/etc/ingot/tls/ca.crt"} {
		if !slices.Contains(args, flag) {
			t.Errorf("the apiserver is not given %s", flag)
		}
	}
}
