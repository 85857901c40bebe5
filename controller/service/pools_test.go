package service

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
)

// TestWhatCountsAsSeen: only what was seen happening may cost a Service its address.
func TestWhatCountsAsSeen(t *testing.T) {
	shrunk := func(generation int64, uid string) *v1beta1.IPAddressPool {
		p := pool("a", "10.0.0.0/25")
		p.Generation, p.UID = generation, "uid-1"
		if uid != "" {
			p.UID = "other"
		}
		return p
	}
	tests := []struct {
		name string
		do   func(*poolBook)
		want map[string]bool
	}{
		{"nothing", func(b *poolBook) { b.put(pool("a", "10.0.0.0/24"), true) }, map[string]bool{}},
		{"modified", func(b *poolBook) { b.put(shrunk(2, ""), true) }, map[string]bool{"a": true}},
		{"deleted", func(b *poolBook) { b.remove("a", true) }, map[string]bool{"a": true}},
		{"missing from a list", func(b *poolBook) { b.replace(nil) }, map[string]bool{"a": false}},
		{"later state in a list", func(b *poolBook) { b.replace([]*v1beta1.IPAddressPool{shrunk(2, "")}) }, map[string]bool{"a": true}},
		{"state of a restored store", func(b *poolBook) { b.replace([]*v1beta1.IPAddressPool{shrunk(1, "")}) }, map[string]bool{"a": false}},
		{"another object of the name", func(b *poolBook) { b.replace([]*v1beta1.IPAddressPool{shrunk(2, "other")}) }, map[string]bool{"a": false}},
		{"missing from a list, then added smaller", func(b *poolBook) { b.replace(nil); b.put(shrunk(1, "other"), true) }, map[string]bool{"a": false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newPoolBook()
			b.put(pool("a", "10.0.0.0/24"), true)
			b.take()
			tt.do(b)
			_, seen := b.take()
			if diff := cmp.Diff(tt.want, seen); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestNamespaceSelectors(t *testing.T) {
	p := pool("a", "10.0.0.0/24")
	p.Spec.AllocateTo = &v1beta1.ServiceAllocation{Namespaces: []string{"named"},
		NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"team": "web"}}}}
	b := newPoolBook()
	b.put(p, true)
	b.putNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"team": "web"}}}, true)
	b.putNamespace(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "db", Labels: map[string]string{"team": "db"}}}, true)
	pools, _ := b.take()
	if diff := cmp.Diff(map[string]bool{"named": true, "web": true}, pools[0].Pin.Namespaces); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	b.removeNamespace("web", true)
	pools, seen := b.take()
	if diff := cmp.Diff(map[string]bool{"named": true}, pools[0].Pin.Namespaces); diff != "" || !seen["a"] {
		t.Errorf("seen %v; -want +got:\n%s", seen, diff)
	}
}

// TestUnusablePoolStaysAsItWas: the API refuses such objects, but an older or a newer API may not.
func TestUnusablePoolStaysAsItWas(t *testing.T) {
	b := newPoolBook()
	b.put(pool("a", "10.0.0.0/24"), true)
	before, _ := b.take()
	b.put(pool("a", "nonsense"), true)
	after, _ := b.take()
	if diff := cmp.Diff(before[0].Ranges[0].String(), after[0].Ranges[0].String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if b.unusable[poolKey{name: "a"}] == nil {
		t.Error("no reason kept")
	}
	b.put(pool("a", "10.1.0.0/24"), true)
	b.take()
	if b.unusable[poolKey{name: "a"}] != nil {
		t.Error("reason kept although the pool is good again")
	}
}

// TestCooldownAlonePinsNothing: MetalLB pins a pool that has a serviceAllocation, whatever is in it.
func TestCooldownAlonePinsNothing(t *testing.T) {
	rest := new(v1beta1.Duration("5m"))
	tests := []struct {
		name   string
		to     *v1beta1.ServiceAllocation
		pinned bool
	}{
		{"none", nil, false},
		{"empty", &v1beta1.ServiceAllocation{}, true},
		{"nothing but cooldown", &v1beta1.ServiceAllocation{Cooldown: rest}, false},
		{"cooldown and priority", &v1beta1.ServiceAllocation{Cooldown: rest, Priority: 1}, true},
		{"cooldown and namespaces", &v1beta1.ServiceAllocation{Cooldown: rest, Namespaces: []string{"a"}}, true},
		{"cooldown and a selector", &v1beta1.ServiceAllocation{Cooldown: rest, ServiceSelectors: []metav1.LabelSelector{{}}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pool("a", "10.0.0.0/24")
			p.Spec.AllocateTo = tt.to
			got, err := newPoolBook().parse(p)
			if err != nil || (got.Pin != nil) != tt.pinned {
				t.Errorf("pinned: %v, %v; want %v", got.Pin != nil, err, tt.pinned)
			}
			if tt.to != nil && tt.to.Cooldown != nil && got.Cooldown != 5*time.Minute {
				t.Errorf("cooldown %v", got.Cooldown)
			}
		})
	}
}

func TestQuotaIsRead(t *testing.T) {
	p := pool("a", "10.0.0.0/24")
	p.Spec.Quota = &v1beta1.Quota{Namespaces: []v1beta1.NamespaceQuota{{Name: "a", Limit: 0}, {Name: "b", Limit: 7}}}
	got, err := newPoolBook().parse(p)
	if diff := cmp.Diff(&ipam.Quota{PerNamespace: -1, Namespaces: map[string]int64{"a": 0, "b": 7}}, got.Quota); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	p.Spec.Quota.PerNamespace = new(int64(0))
	if got, err = newPoolBook().parse(p); err != nil || got.Quota.PerNamespace != 0 {
		t.Errorf("%+v, %v: 0 is a limit", got.Quota, err)
	}
}
