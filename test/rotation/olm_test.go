package rotation

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	certutil "k8s.io/client-go/util/cert"
	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/test/lab/labtest"
)

// TestCertificatesOfOLM does what the Operator Lifecycle Manager does of deploy/bundle (test/install has the rest of it): it makes the
// Service, its certificate and an APIService for each owned version, and starts the apiserver as the bundle says. The API answers by
// that certificate and has exactly the kinds that the bundle says it has, APIServices stay as they are, and the apiserver issues for others.
func TestCertificatesOfOLM(t *testing.T) {
	owned, args := bundled(t)
	r := newRig(t, t.TempDir(), labtest.Options{Nodes: 1, Router: "none", Without: []string{"apiserver", "controller", "webhooks", "speaker"}})
	const service = "apiserver-service"
	_, err := r.client.CoreV1().Services(system).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: service}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "10443", Port: 10443}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.leadHere(service, "10443", 10443)
	mounted := t.TempDir()
	cert, key, err := certutil.GenerateSelfSignedCertKey(service+"."+system+".svc", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"apiserver.crt": cert, "apiserver.key": key} {
		if err := os.WriteFile(filepath.Join(mounted, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client, err := dynamic.NewForConfig(r.config)
	if err != nil {
		t.Fatal(err)
	}
	services := client.Resource(applied["APIService"])
	made := map[string]any{}
	for version := range owned {
		o, err := services.Create(t.Context(), apiService(version, service, cert), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		made[o.GetName()] = o.Object["spec"]
	}

	args = append(args, "--api-tls-cert-file="+filepath.Join(mounted, "apiserver.crt"), "--api-tls-private-key-file="+filepath.Join(mounted, "apiserver.key"),
		"--id=a", "--bind-address="+control, "--metrics-address=", "--data-dir="+t.TempDir())
	api := r.start("apiserver", args...)
	r.eventually("the aggregated API", r.list)
	api.awaitLog("certificateLoaded", 1)
	r.eventually("the CA of stream and webhooks", func() error {
		_, err := r.client.CoreV1().Secrets(system).Get(t.Context(), "webhooks-tls", metav1.GetOptions{})
		return err
	})
	for version, kinds := range owned {
		var served *metav1.APIResourceList
		// Each APIService becomes available by itself.
		r.eventually("what "+version+" serves", func() (err error) {
			served, err = r.client.Discovery().ServerResourcesForGroupVersion("metallb.io/" + version)
			return err
		})
		got := map[string]string{}
		for _, resource := range served.APIResources {
			if filepath.Dir(resource.Name) == "." { // no subresource
				got[resource.Name] = resource.Kind
			}
		}
		if diff := cmp.Diff(kinds, got); diff != "" {
			t.Errorf("%s, -owned +served\n%s", version, diff)
		}
	}
	for name, want := range made {
		o, err := services.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, o.Object["spec"]); diff != "" {
			t.Errorf("%s was changed, -before +after\n%s", name, diff)
		}
	}
}

// apiService is one as OLM makes it, with its own idea of priorities.
func apiService(version, service string, ca []byte) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": version + ".metallb.io", "labels": map[string]any{"olm.owner": "metallb-operator.v0.0.1", "olm.owner.kind": "ClusterServiceVersion", "olm.owner.namespace": system}},
		"spec": map[string]any{"group": "metallb.io", "version": version, "groupPriorityMinimum": int64(2000), "versionPriority": int64(15), "caBundle": base64.StdEncoding.EncodeToString(ca),
			"service": map[string]any{"namespace": system, "name": service, "port": int64(10443)}},
	}}
}

// bundled is what the bundle says of the API: plural and kind by version; and the arguments of the apiserver that have to do with it.
func bundled(t *testing.T) (owned map[string]map[string]string, args []string) {
	t.Helper()
	content, err := os.ReadFile("../../deploy/bundle/manifests/metallb-operator.clusterserviceversion.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var csv struct {
		Spec struct {
			APIServiceDefinitions struct {
				Owned []struct{ Version, Name, Kind string }
			}
			Install struct{ Spec json.RawMessage }
		}
	}
	if err := yaml.Unmarshal(content, &csv); err != nil {
		t.Fatal(err)
	}
	owned = map[string]map[string]string{}
	for _, o := range csv.Spec.APIServiceDefinitions.Owned {
		if owned[o.Version] == nil {
			owned[o.Version] = map[string]string{}
		}
		owned[o.Version][o.Name] = o.Kind
	}
	var install struct {
		Deployments []struct {
			Name string
			Spec struct{ Template struct{ Spec corev1.PodSpec } }
		}
	}
	if err := json.Unmarshal(csv.Spec.Install.Spec, &install); err != nil {
		t.Fatal(err)
	}
	const create = "--create-apiservices=false"
	for _, d := range install.Deployments {
		if d.Name == "apiserver" && slices.Contains(d.Spec.Template.Spec.Containers[0].Args, create) {
			args = append(args, create)
		}
	}
	if len(owned) != 3 || len(args) != 1 {
		t.Fatalf("the bundle has versions %v, and %q", owned, args)
	}
	return owned, args
}
