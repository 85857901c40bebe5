package plan

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func TestStranded(t *testing.T) {
	pools := func(addresses ...string) *metallb.Configuration {
		c := &metallb.Configuration{}
		for _, a := range addresses {
			c.IPAddressPools = append(c.IPAddressPools, &metallb.IPAddressPool{
				ObjectMeta: metav1.ObjectMeta{Name: a}, Spec: metallb.IPAddressPoolSpec{Addresses: []string{a}}})
		}
		return c
	}
	with := func(ips ...string) *corev1.Service {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}}
		for _, ip := range ips {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
		}
		return s
	}
	elsewhere := with("10.0.0.1")
	elsewhere.Spec.Type = corev1.ServiceTypeClusterIP
	cases := []struct {
		name          string
		before, after *metallb.Configuration
		service       *corev1.Service
		want          bool
	}{
		{"pool gone", pools("10.0.0.0/24"), pools(), with("10.0.0.1"), true},
		{"pool shrunk", pools("10.0.0.0/24"), pools("10.0.0.128/25"), with("10.0.0.1"), true},
		{"one of two families", pools("10.0.0.0/24", "fd00::/64"), pools("10.0.0.0/24"), with("10.0.0.1", "fd00::1"), true},
		{"pool renamed", pools("10.0.0.0/24"), pools("10.0.0.0-10.0.0.255"), with("10.0.0.1"), false},
		{"another address", pools("10.0.0.0/24", "10.0.1.0/24"), pools("10.0.0.0/24"), with("10.0.0.1"), false},
		{"was outside before", pools(), pools("10.0.1.0/24"), with("10.0.0.1"), false},
		{"no address", pools("10.0.0.0/24"), pools(), with(), false},
		{"no address of an IP", pools("10.0.0.0/24"), pools(), with("name.example"), false},
		{"not ours", pools("10.0.0.0/24"), pools(), elsewhere, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := Stranded(c.before, c.after, []*corev1.Service{c.service}, ""); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}
