package kubelet_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/test/await"
)

// create makes an object, and takes it away after the test.
func create(t *testing.T, object runtime.Object) {
	t.Helper()
	ctx, after := t.Context(), context.WithoutCancel(t.Context())
	var err error
	var remove func() error
	switch o := object.(type) {
	case *corev1.ConfigMap:
		api := client.CoreV1().ConfigMaps(namespace)
		_, err = api.Create(ctx, o, metav1.CreateOptions{})
		remove = func() error { return api.Delete(after, o.Name, metav1.DeleteOptions{}) }
	case *corev1.Secret:
		api := client.CoreV1().Secrets(namespace)
		_, err = api.Create(ctx, o, metav1.CreateOptions{})
		remove = func() error { return api.Delete(after, o.Name, metav1.DeleteOptions{}) }
	default:
		t.Fatalf("%T", object)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := remove(); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
}

// mount gives a Pod's container a volume at /v.
func mount(p *corev1.Pod, source corev1.VolumeSource) {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "v", VolumeSource: source})
	c := &p.Spec.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "v", MountPath: "/v"})
}

func gone(t *testing.T, name string) {
	t.Helper()
	await.True(t, name+" to go", func() bool {
		_, err := client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func TestConfigurationFollowsItsObjects(t *testing.T) {
	create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pair"}, StringData: map[string]string{"key": "k", "other": "o"}})
	name := corev1.LocalObjectReference{Name: "later"}
	makePod(t, "configured", func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(int64(1000)), FSGroup: ptr(int64(1002))}
		mount(p, corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: ptr(int32(0o400)), Sources: []corev1.VolumeProjection{
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: name, Optional: ptr(true)}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "pair"}, Items: []corev1.KeyToPath{{Key: "key", Path: "deep/key"}}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}}}},
		}}})
	})
	awaitRunning(t, "configured")
	if got := ask(t, "configured", "read", "/v/deep/key"); got != "k" {
		t.Errorf("the secret's key: %q", got)
	}
	if got := ask(t, "configured", "read", "/v/labels"); got != `app="configured"` {
		t.Errorf("labels: %q", got)
	}
	if got := ask(t, "configured", "stat", "/v/deep/key"); got != "-r--r----- 0 1002\n" {
		t.Errorf("mode, user and group: %q", got)
	}
	if _, _, status := run(t, "configured", "", false, "/program", "write", "/v/x", ""); status != 3 {
		t.Error("a volume of configuration can be written to")
	}
	for _, text := range []string{"one", "two"} {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name.Name}, Data: map[string]string{"file": text}}
		if text == "one" {
			create(t, object)
		} else if _, err := client.CoreV1().ConfigMaps(namespace).Update(t.Context(), object, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		await.True(t, "the file to say "+text, func() bool {
			out, _, status := run(t, "configured", "", false, "/program", "read", "/v/file")
			return status == 0 && out == text
		})
	}
}

func TestTokensAreOfTheirPod(t *testing.T) {
	p := makePod(t, "token", func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(int64(1000))}
		mount(p, corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", Audience: "somebody", ExpirationSeconds: ptr(int64(600))}},
		}}})
	})
	awaitRunning(t, "token")
	if got := ask(t, "token", "stat", "/v/token"); got != "-rw------- 1000 0\n" {
		t.Errorf("mode, user and group: %q", got)
	}
	parts := strings.Split(ask(t, "token", "read", "/v/token"), ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", parts)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	type named struct{ Name, UID string }
	var got struct {
		Aud        []string
		Sub        string
		Kubernetes struct{ Pod, Node named } `json:"kubernetes.io"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := got
	want.Aud, want.Sub = []string{"somebody"}, "system:serviceaccount:default:default"
	want.Kubernetes.Pod, want.Kubernetes.Node.Name = named{"token", string(p.UID)}, nodeName
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestHostPathsAreOfTheNode(t *testing.T) {
	makePod(t, "hostpath", func(p *corev1.Pod) {
		mount(p, corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/var/lib/x", Type: ptr(corev1.HostPathDirectory)}})
	})
	awaitEvent(t, "hostpath", `FailedMount: MountVolume.SetUp failed for volume "v" : hostPath type check failed: /var/lib/x is not a directory`)
	if err := os.MkdirAll(node.root("var/lib/x"), 0o755); err != nil {
		t.Fatal(err)
	}
	awaitRunning(t, "hostpath")
	ask(t, "hostpath", "write", "/v/file", "kept")
	if got, err := os.ReadFile(node.root("var/lib/x/file")); err != nil || string(got) != "kept" {
		t.Errorf("on the node: %q, %v", got, err)
	}
}

func TestClaimsAreWhatTheyAreBoundTo(t *testing.T) {
	ctx := t.Context()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	claim, err := client.CoreV1().PersistentVolumeClaims(namespace).Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, VolumeName: "disk", StorageClassName: ptr(""),
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	makePod(t, "claims", func(p *corev1.Pod) {
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr(int64(1000)), FSGroup: ptr(int64(1002))}
		mount(p, corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}})
	})
	awaitEvent(t, "claims", "PVC default/data is not bound")
	if err := os.MkdirAll(node.root("disks/a"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "disk"},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: claim.Spec.AccessModes,
			ClaimRef:               &corev1.ObjectReference{Namespace: namespace, Name: "data", UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/disks/a"}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{nodeName}}},
			}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claim.Status.Phase = corev1.ClaimBound
	if _, err := client.CoreV1().PersistentVolumeClaims(namespace).UpdateStatus(ctx, claim, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitRunning(t, "claims")
	ask(t, "claims", "write", "/v/file", "kept")
	if got := ask(t, "claims", "stat", "/v/file"); got != "-rw-r--r-- 1000 1002\n" {
		t.Errorf("mode, user and group: %q", got)
	}
}
