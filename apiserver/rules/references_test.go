package rules

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func basicAuth(data ...string) *corev1.Secret {
	s := &corev1.Secret{Type: corev1.SecretTypeBasicAuth, Data: map[string][]byte{}}
	for i := 0; i < len(data); i += 2 {
		s.Data[data[i]] = []byte(data[i+1])
	}
	return s
}

func TestUnusableSecretWarns(t *testing.T) {
	opaque := basicAuth("password", "hunter2")
	opaque.Type = corev1.SecretTypeOpaque
	const at = `spec.passwordSecret.name: `
	const until = ": until then the peer has no session"
	tests := []struct {
		name    string
		secret  *corev1.Secret
		unknown bool
		want    []string
	}{
		{name: "usable", secret: basicAuth("password", "hunter2")},
		{name: "not known", unknown: true},
		{name: "missing", want: []string{at + `Secret "bgp" does not exist in the system namespace (yet)` + until}},
		{name: "type", secret: opaque, want: []string{at + `Secret "bgp" is of type "Opaque"; it must be of type "kubernetes.io/basic-auth"` + until}},
		{name: "key", secret: basicAuth("passwort", "hunter2"), want: []string{at + `Secret "bgp" has no key "password"` + until}},
		{name: "empty", secret: basicAuth("password", ""), want: []string{at + `Secret "bgp" has an empty "password"` + until}},
		{name: "not text", secret: basicAuth("password", "hunter2\xff"), want: []string{at + `"password" in Secret "bgp" is not valid UTF-8` + until}},
	}
	peer := &metallb.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "tor"}, Spec: metallb.BGPPeerSpec{
		MyASN: 1, ASN: 2, Address: "10.0.0.1", Port: 179, PasswordSecret: corev1.SecretReference{Name: "bgp"}}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			secrets := func(name string) (*corev1.Secret, bool) {
				if name != "bgp" {
					t.Errorf("asked for Secret %q", name)
				}
				return tt.secret, !tt.unknown
			}
			errs, warnings := Check(nil, Change{Resource: "bgppeers", New: peer, Secrets: secrets})
			if len(errs) != 0 {
				t.Error(errs)
			}
			if diff := cmp.Diff(tt.want, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if strings.Contains(strings.Join(warnings, ""), "hunter2") {
				t.Error("a warning shows the password")
			}
		})
	}
}

func TestPoolThatCoversANodeAddressWarns(t *testing.T) {
	nodes := []Node{
		{Name: "n1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("2001:db8::9")}},
		{Name: "n2", Addresses: []netip.Addr{netip.MustParseAddr("::ffff:10.0.0.2")}},
	}
	first := `spec.addresses[1]: "10.0.0.0/28" covers 10.0.0.2, the address of Node n2`
	second := `spec.addresses[1]: "10.0.0.0/28" covers 10.0.0.9, the address of Node n1`
	tests := []struct {
		name     string
		old, obj runtime.Object
		want     []string
	}{
		{name: "neither", obj: newPool("p", "10.0.0.10-10.0.0.20", "2001:db8::10/124")},
		{name: "two", obj: newPool("p", "10.0.1.0/24", "10.0.0.0/28"), want: []string{first, second}},
		{name: "IPv6", obj: newPool("p", "2001:db8::/64"), want: []string{`spec.addresses[0]: "2001:db8::/64" covers 2001:db8::9, the address of Node n1`}},
		{name: "as before", old: newPool("p", "10.0.1.0/24", "10.0.0.0/28"), obj: newPool("p", "10.0.1.0/24", "10.0.0.0/28")},
		{name: "since now", old: newPool("p", "10.0.1.0/24"), obj: newPool("p", "10.0.1.0/24", "10.0.0.0/28"), want: []string{first, second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			errs, warnings := Check(nil, Change{Old: tt.old, New: tt.obj, Nodes: nodes})
			if len(errs) != 0 {
				t.Error(errs)
			}
			if diff := cmp.Diff(tt.want, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
