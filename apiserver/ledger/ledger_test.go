package ledger

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func TestNames(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "2001:db8::1": "2001-0db8-0000-0000-0000-0000-0000-0001", "::ffff:192.0.2.1": "192.0.2.1",
	} {
		a := netip.MustParseAddr(text)
		if got := Name(a); got != want {
			t.Errorf("name of %s: %q, want %q", a, got, want)
		}
		if back, ok := Address(want); !ok || back != a.Unmap() {
			t.Errorf("address of %q: %v, %v", want, back, ok)
		}
	}
	for _, name := range []string{"", "web", "192.0.2.01", "2001-db8--1", "192.0.2.1%eth0"} {
		if a, ok := Address(name); ok {
			t.Errorf("%q is the name of %s", name, a)
		}
	}
}

func port(number int32) []metallb.AllocatedPort {
	return []metallb.AllocatedPort{{Protocol: "TCP", Port: number}}
}

func TestApply(t *testing.T) {
	web := metallb.ServiceClaim{Namespace: "a", Name: "web", UID: "1", Pool: "p", Addresses: []string{"192.0.2.1"}, Ports: port(80)}
	sharing := func(name string, number int32, key string) metallb.ServiceClaim {
		return metallb.ServiceClaim{Namespace: "a", Name: name, Pool: "p", Addresses: []string{"192.0.2.1"}, Ports: port(number), SharingKey: key}
	}
	dual := metallb.ServiceClaim{Namespace: "b", Name: "dual", Pool: "p", Addresses: []string{"192.0.2.1", "2001:db8::1"}}
	kept := metallb.ServiceClaim{Namespace: "b", Name: "kept", Pool: "gone", Kept: true, Addresses: []string{"198.51.100.1"}}
	moved := web
	moved.Addresses, moved.Release = []string{"192.0.2.2"}, []string{"192.0.2.1"}
	gone := metallb.ServiceClaim{Namespace: "a", Name: "web", Release: []string{"192.0.2.1"}}
	local := sharing("local", 81, "k")
	local.BackendKey = "app=x"
	tests := []struct {
		name   string
		claims []metallb.ServiceClaim
		want   []metallb.ClaimResult
		holds  map[string]string
	}{
		{"one", []metallb.ServiceClaim{web, web}, []metallb.ClaimResult{"Granted", "Granted"}, map[string]string{"192.0.2.1": "web"}},
		{"taken", []metallb.ServiceClaim{web, sharing("x", 81, "")}, []metallb.ClaimResult{"Granted", "Held"}, map[string]string{"192.0.2.1": "web"}},
		{"all or nothing", []metallb.ServiceClaim{web, dual}, []metallb.ClaimResult{"Granted", "Held"}, map[string]string{"192.0.2.1": "web"}},
		{"shared", []metallb.ServiceClaim{sharing("x", 80, "k"), sharing("y", 81, "k")}, []metallb.ClaimResult{"Granted", "Granted"}, map[string]string{"192.0.2.1": "x,y"}},
		{"other key", []metallb.ServiceClaim{sharing("x", 80, "k"), sharing("y", 81, "l")}, []metallb.ClaimResult{"Granted", "Held"}, map[string]string{"192.0.2.1": "x"}},
		{"same port", []metallb.ServiceClaim{sharing("x", 80, "k"), sharing("y", 80, "k")}, []metallb.ClaimResult{"Granted", "Held"}, map[string]string{"192.0.2.1": "x"}},
		{"other backends", []metallb.ServiceClaim{sharing("x", 80, "k"), local}, []metallb.ClaimResult{"Granted", "Held"}, map[string]string{"192.0.2.1": "x"}},
		{"a lone holder changes its key", []metallb.ServiceClaim{sharing("x", 80, "k"), sharing("x", 80, "l"), sharing("y", 81, "l")},
			[]metallb.ClaimResult{"Granted", "Granted", "Granted"}, map[string]string{"192.0.2.1": "x,y"}},
		{"no lone holder does not", []metallb.ServiceClaim{sharing("x", 80, "k"), sharing("y", 81, "k"), sharing("x", 80, "l")},
			[]metallb.ClaimResult{"Granted", "Granted", "Held"}, map[string]string{"192.0.2.1": "x,y"}},
		{"outside the pool", []metallb.ServiceClaim{{Namespace: "a", Name: "x", Pool: "p", Addresses: []string{"198.51.100.1"}}}, []metallb.ClaimResult{"NotInPool"}, map[string]string{}},
		{"kept", []metallb.ServiceClaim{kept}, []metallb.ClaimResult{"Granted"}, map[string]string{"198.51.100.1": "kept"}},
		{"moved", []metallb.ServiceClaim{web, moved, dual}, []metallb.ClaimResult{"Granted", "Granted", "Granted"},
			map[string]string{"192.0.2.1": "dual", "192.0.2.2": "web", "2001:db8::1": "dual"}},
		{"released", []metallb.ServiceClaim{web, gone, gone, sharing("x", 80, "")}, []metallb.ClaimResult{"Granted", "Granted", "Granted", "Granted"}, map[string]string{"192.0.2.1": "x"}},
		{"released by another", []metallb.ServiceClaim{web, {Namespace: "b", Name: "web", Release: []string{"192.0.2.1"}}}, []metallb.ClaimResult{"Granted", "Granted"}, map[string]string{"192.0.2.1": "web"}},
		{"one of two leaves", []metallb.ServiceClaim{sharing("web", 80, "k"), sharing("y", 81, "k"), gone}, []metallb.ClaimResult{"Granted", "Granted", "Granted"}, map[string]string{"192.0.2.1": "y"}},
	}
	pool := netip.MustParsePrefix("192.0.2.0/24")
	judge := func(c *metallb.ServiceClaim, a netip.Addr) (metallb.ClaimResult, string) {
		if c.Pool == "p" && (pool.Contains(a) || a.Is6()) {
			return metallb.ClaimGranted, ""
		}
		return metallb.ClaimNotInPool, "it is not"
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			entries := Entries{}
			var got []metallb.ClaimResult
			for i := range tt.claims {
				result, _ := entries.Apply(&tt.claims[i], judge, time.Unix(1e9, 0))
				got = append(got, result.Result)
				if (result.Message == "") != (result.Result == metallb.ClaimGranted) {
					t.Errorf("claim %d: %q with the message %q", i, result.Result, result.Message)
				}
			}
			holds := map[string]string{}
			for a, e := range entries {
				for i := 0; e != nil && i < len(e.Spec.Services); i++ {
					if i > 0 {
						holds[a.String()] += ","
					}
					holds[a.String()] += e.Spec.Services[i].Name
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.holds, holds); diff != "" {
				t.Errorf("holders (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsThereIsNotWritten(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	entries := Entries{}
	claim := metallb.ServiceClaim{Namespace: "a", Name: "web", UID: "1", Pool: "p", Addresses: []string{"192.0.2.1"}, Ports: port(80)}
	nowhere := func(*metallb.ServiceClaim, netip.Addr) (metallb.ClaimResult, string) {
		return metallb.ClaimNotInPool, "nowhere"
	}
	anywhere := func(*metallb.ServiceClaim, netip.Addr) (metallb.ClaimResult, string) { return metallb.ClaimGranted, "" }
	if _, checked := entries.Apply(&claim, anywhere, time.Unix(1e9, 0)); !checked {
		t.Error("a new claim did not depend on the pools")
	}
	first := entries[a]
	if want := map[string]string{PoolLabel: "p", NamespaceLabel: "a", ServiceLabel: "web"}; !cmp.Equal(want, first.Labels) {
		t.Errorf("labels %v, want %v", first.Labels, want)
	}
	if result, checked := entries.Apply(&claim, nowhere, time.Unix(2e9, 0)); result.Result != metallb.ClaimGranted || checked || entries[a] != first {
		t.Errorf("claimed again: %+v, by pools %v, another object %v", result, checked, entries[a] != first)
	}
	claim.Ports = port(81)
	if result, _ := entries.Apply(&claim, nowhere, time.Unix(2e9, 0)); result.Result != metallb.ClaimGranted || entries[a] == first {
		t.Errorf("other ports: %+v, another object %v", result, entries[a] != first)
	}
	if diff := cmp.Diff(port(80), first.Spec.Services[0].Ports); diff != "" {
		t.Errorf("the object before was changed (-want +got):\n%s", diff)
	}
}

func TestValidate(t *testing.T) {
	claim := func(c metallb.ServiceClaim) metallb.IPAllocationClaimSpec {
		return metallb.IPAllocationClaimSpec{Services: []metallb.ServiceClaim{c}}
	}
	tests := []struct {
		name string
		spec metallb.IPAllocationClaimSpec
		want string // the field
	}{
		{"empty", metallb.IPAllocationClaimSpec{}, ""},
		{"good", claim(metallb.ServiceClaim{Namespace: "a", Name: "b", Addresses: []string{"192.0.2.1", "2001:db8::1"}, Release: []string{"192.0.2.2"}}), ""},
		{"term", metallb.IPAllocationClaimSpec{Term: -1}, "spec.term"},
		{"too many", metallb.IPAllocationClaimSpec{Services: make([]metallb.ServiceClaim, Most+1)}, "spec.services"},
		{"namespace", claim(metallb.ServiceClaim{Name: "b"}), "spec.services[0].namespace"},
		{"name", claim(metallb.ServiceClaim{Namespace: "b"}), "spec.services[0].name"},
		{"no address", claim(metallb.ServiceClaim{Namespace: "a", Name: "b", Addresses: []string{"web"}}), "spec.services[0].addresses[0]"},
		{"zone", claim(metallb.ServiceClaim{Namespace: "a", Name: "b", Addresses: []string{"fe80::1%eth0"}}), "spec.services[0].addresses[0]"},
		{"twice", claim(metallb.ServiceClaim{Namespace: "a", Name: "b", Addresses: []string{"192.0.2.1"}, Release: []string{"::ffff:192.0.2.1"}}), "spec.services[0].release[0]"},
		{"forget", metallb.IPAllocationClaimSpec{Forget: []string{"x"}}, "spec.forget[0]"},
		{"many addresses", claim(metallb.ServiceClaim{Namespace: "a", Name: "b", Release: []string{
			"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8", "192.0.2.9"}}), "spec.services[0].release"},
	}
	for _, tt := range tests {
		errs := Validate(&tt.spec)
		got := ""
		if len(errs) > 0 {
			got = errs[0].Field
		}
		if got != tt.want {
			t.Errorf("%s: %v, want an error of %q", tt.name, errs, tt.want)
		}
	}
}
