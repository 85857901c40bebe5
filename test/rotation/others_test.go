package rotation

import (
	"bytes"
	"context"
	"encoding/json"
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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
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
	return func() {
		i.t.Helper()
		for name, content := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
			if err := os.WriteFile(filepath.Join(i.dir, name), content, 0o600); err != nil {
				i.t.Fatal(err)
			}
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

// inject does what the cainjector does, and mounts the bundle on nodes. What is not there yet is an error.
func (i *issuer) inject(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
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
			patch = `{"webhooks":[{"name":"services.webhooks.ingot.io","clientConfig":{"caBundle":` + ca + `}},{"name":"secrets.webhooks.ingot.io","clientConfig":{"caBundle":` + ca + `}}]}`
		}
		if _, err := objects.Resource(resource).Patch(ctx, o.GetName(), how, []byte(patch), metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	bundle := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "ingot-ca", Namespace: system}, Data: map[string]string{"ca.crt": string(i.bundle)}}
	_, err = client.CoreV1().ConfigMaps(system).Create(ctx, bundle, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = client.CoreV1().ConfigMaps(system).Update(ctx, bundle, metav1.UpdateOptions{})
	}
	return err
}

// TestCertificatesOfOthers: with files nothing is issued and nothing injected, new files are served, and bad ones are not.
func TestCertificatesOfOthers(t *testing.T) {
	i := &issuer{t: t, dir: t.TempDir(), component: component(t)}
	i.issue()()
	var args []string
	for _, program := range []string{"apiserver", "webhooks"} {
		args = append(args, program+"=--tls-cert-file="+filepath.Join(i.dir, "tls.crt"), program+"=--tls-private-key-file="+filepath.Join(i.dir, "tls.key"))
	}
	dir := t.TempDir()
	up := make(chan error, 1)
	go func() { up <- i.untilInjected(t.Context(), filepath.Join(dir, "kubeconfig")) }()
	r := newRig(t, dir, labtest.Options{Nodes: 1, Router: "none", Args: args})
	if err := <-up; err != nil {
		t.Fatal(err)
	}
	// What the lab installed meanwhile is the base.
	if err := i.inject(t.Context(), r.lab.KubeConfig()); err != nil {
		t.Fatal(err)
	}
	r.streams(1)
	use := func() {
		t.Helper()
		if _, err := r.objects.List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Errorf("the aggregated API: %v", err)
		}
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{GenerateName: "asked-"},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}}}
		if _, err := r.client.CoreV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Errorf("webhooks: %v", err)
		}
	}
	use()

	mounted := i.issue() // both are trusted, then the second is shown
	if err := i.inject(t.Context(), r.lab.KubeConfig()); err != nil {
		t.Fatal(err)
	}
	mounted()
	r.awaitLog("apiserver/1", "certificateLoaded", 2)
	r.awaitLog("webhooks", "certificateLoaded", 2)
	use()

	// One for somebody else.
	cert, key, err := certutil.GenerateSelfSignedCertKey("web.example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(i.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.awaitLog("apiserver/1", `it is not made out for \"apiserver.metallb-system.svc\"`, 1)
	r.awaitLog("webhooks", `it is not made out for \"webhooks.metallb-system.svc\"`, 1)
	use()

	for _, name := range []string{"ingot-ca", "webhooks-tls"} {
		if _, err := r.client.CoreV1().Secrets(system).Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("Secret %s: %v, want that there is none", name, err)
		}
	}
	if n := r.kubeAPIServer("apiserver_admission_webhook_fail_open_count"); n != 0 {
		t.Errorf("%v calls of webhooks failed", n)
	}
	if out, err := r.lab.Run(t.Context(), "stop", "apiserver/1"); err != nil {
		t.Fatal(out, err)
	}
	if out, err := r.lab.Run(t.Context(), "start", "apiserver/1"); err == nil || !strings.Contains(err.Error(), "certificate for web.example.com") {
		t.Errorf("started with a certificate for somebody else: %s, %v", out, err)
	}
}

// untilInjected injects as soon as there is what to inject into.
func (i *issuer) untilInjected(ctx context.Context, kubeconfig string) error {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	for {
		err := i.inject(ctx, kubeconfig)
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx)
	}
}

// awaitLog waits until a part has logged something so often.
func (r *rig) awaitLog(part, what string, n int) {
	r.Helper()
	for deadline := time.Now().Add(long); ; pause(r.Context()) {
		log, err := r.lab.Run(r.Context(), "logs", part, "-n", "1000000")
		if err == nil && strings.Count(log, what) >= n {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("%s logged %s %d times, want %d (%v)", part, what, strings.Count(log, what), n, err)
		}
	}
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
