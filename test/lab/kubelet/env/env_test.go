package env

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestExpand(t *testing.T) {
	values := map[string]string{"A": "1", "EMPTY": "", "LOOP": "$(A)"}
	lookup := func(name string) (string, bool) { value, ok := values[name]; return value, ok }
	for text, want := range map[string]string{
		"":             "",
		"plain":        "plain",
		"$(A)":         "1",
		"x$(A)y$(A)":   "x1y1",
		"$(EMPTY)|":    "|",
		"$(NONE)":      "$(NONE)",
		"$$(A)":        "$(A)",
		"$$$(A)":       "$1",
		"$$$$(A)":      "$$(A)",
		"$A":           "$A",
		"$":            "$",
		"$(A":          "$(A",
		"$(A$(A)":      "$(A$(A)",
		"$(LOOP)":      "$(A)",
		"$()":          "$()",
		"cost $ $(A)$": "cost $ 1$",
	} {
		if got := Expand(text, lookup); got != want {
			t.Errorf("Expand(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzExpandWithoutVariablesKeepsText(f *testing.F) {
	for _, seed := range []string{"", "$(A)", "$", "$(", "x$(A)$(B", "a$b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		none := func(string) (string, bool) { return "", false }
		// Only $$ is ever shortened, each by one.
		got := Expand(text, none)
		if len(got) > len(text) || len(text)-len(got) > len(text)/2 {
			t.Errorf("Expand(%q) = %q", text, got)
		}
	})
}

var pod = &corev1.Pod{
	ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "p", UID: "u", Labels: map[string]string{"b": "2", "a": "1\n"}, Annotations: map[string]string{"x.y/z": "w"},
	},
	Spec: corev1.PodSpec{NodeName: "node1", ServiceAccountName: "sa", Containers: []corev1.Container{{
		Name: "c", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m"), corev1.ResourceMemory: resource.MustParse("100Mi")},
		},
	}}},
	Status: corev1.PodStatus{
		HostIP: "10.0.0.1", PodIP: "10.1.0.1", HostIPs: []corev1.HostIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}},
		PodIPs: []corev1.PodIP{{IP: "10.1.0.1"}, {IP: "fd01::1"}},
	},
}

func TestField(t *testing.T) {
	for path, want := range map[string]string{
		"metadata.name": "p", "metadata.namespace": "ns", "metadata.uid": "u", "metadata.labels['b']": "2", "metadata.labels['none']": "",
		"metadata.annotations['x.y/z']": "w", "metadata.labels": "a=\"1\\n\"\nb=\"2\"", "spec.nodeName": "node1", "spec.serviceAccountName": "sa",
		"status.hostIP": "10.0.0.1", "status.podIP": "10.1.0.1", "status.hostIPs": "10.0.0.1,fd00::1", "status.podIPs": "10.1.0.1,fd01::1",
	} {
		if got, err := Field(pod, path); err != nil || got != want {
			t.Errorf("Field(%s) = %q, %v, want %q", path, got, err, want)
		}
	}
	if got, err := Field(pod, "spec.none"); err == nil {
		t.Errorf("an unknown field is %q", got)
	}
}

func TestResource(t *testing.T) {
	node := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi")}
	for _, c := range []struct{ of, divisor, want string }{
		{"requests.cpu", "", "2"}, {"requests.cpu", "1m", "1500"}, {"limits.cpu", "", "4"},
		{"requests.memory", "1Mi", "100"}, {"limits.memory", "1Gi", "8"}, {"requests.ephemeral-storage", "", "0"},
	} {
		ref := &corev1.ResourceFieldSelector{Resource: c.of}
		if c.divisor != "" {
			ref.Divisor = resource.MustParse(c.divisor)
		}
		if got, err := Resource(pod, "c", ref, node); err != nil || got != c.want {
			t.Errorf("%s by %q = %q, %v, want %s", c.of, c.divisor, got, err, c.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	missing := apierrors.NewNotFound(schema.GroupResource{Resource: "configmap"}, "none")
	service := func(namespace, name, ip string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec:       corev1.ServiceSpec{ClusterIP: ip, Ports: []corev1.ServicePort{{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP}}},
		}
	}
	source := Source{
		Pod: pod,
		ConfigMap: func(name string) (*corev1.ConfigMap, error) {
			if name == "none" {
				return nil, missing
			}
			return &corev1.ConfigMap{Data: map[string]string{"k": "v", "FIRST": "of the ConfigMap"}}, nil
		},
		Secret: func(string) (*corev1.Secret, error) {
			return &corev1.Secret{Data: map[string][]byte{"s": []byte("t")}}, nil
		},
		Services: []*corev1.Service{service("default", "kubernetes", "10.96.0.1"), service("other", "x", "10.96.0.2"), service("ns", "no-ip", "None")},
	}
	yes := true
	ref := corev1.LocalObjectReference{Name: "some"}
	none := corev1.LocalObjectReference{Name: "none"}
	got, err := source.Of(&corev1.Container{
		Name: "c",
		EnvFrom: []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: ref}},
			{Prefix: "S_", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref}},
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: none, Optional: &yes}},
		},
		Env: []corev1.EnvVar{
			{Name: "FIRST", Value: "of env"}, {Name: "BOTH", Value: "$(FIRST) $(KUBERNETES_SERVICE_HOST)"},
			{Name: "KEY", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref, Key: "k"}}},
			{Name: "NOT", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref, Key: "none", Optional: &yes}}},
			{Name: "KUBERNETES_PORT", Value: "mine"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"k": "v", "FIRST": "of env", "S_s": "t", "BOTH": "of env 10.96.0.1", "KEY": "v", "KUBERNETES_SERVICE_HOST": "10.96.0.1",
		"KUBERNETES_SERVICE_PORT": "443", "KUBERNETES_SERVICE_PORT_HTTPS": "443", "KUBERNETES_PORT": "mine",
		"KUBERNETES_PORT_443_TCP": "tcp://10.96.0.1:443", "KUBERNETES_PORT_443_TCP_PROTO": "tcp", "KUBERNETES_PORT_443_TCP_PORT": "443",
		"KUBERNETES_PORT_443_TCP_ADDR": "10.96.0.1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	_, err = source.Of(&corev1.Container{Env: []corev1.EnvVar{
		{Name: "X", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: none, Key: "k"}}},
	}})
	if !errors.Is(err, missing) {
		t.Errorf("a missing ConfigMap: %v", err)
	}
	_, err = source.Of(&corev1.Container{Env: []corev1.EnvVar{
		{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref, Key: "k"}}},
	}})
	if err == nil || err.Error() != "couldn't find key k in Secret ns/some" {
		t.Errorf("a missing key: %v", err)
	}
}

func TestListHasTheImagesVariablesUnderTheContainers(t *testing.T) {
	got := List([]string{"PATH=/bin", "X=image"}, map[string]string{"X": "container", "A": "="})
	if diff := cmp.Diff([]string{"A==", "PATH=/bin", "X=container"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
