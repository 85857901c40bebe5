package plan

import (
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/ledger"
)

func serviceName(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "default", Name: name}
}

func held(shareable bool, names ...string) ledger.Holding {
	h := ledger.Holding{Shareable: shareable}
	for _, name := range names {
		h.Services = append(h.Services, serviceName(name))
	}
	return h
}

// TestOnlyWhatStatusAndLedgerAgreeOnIsAnnounced.
func TestOnlyWhatStatusAndLedgerAgreeOnIsAnnounced(t *testing.T) {
	one := netip.MustParseAddr("10.20.30.1")
	const all = "10.20.30.1/32 to tor1 for db,web"
	tests := []struct {
		name    string
		ledger  *Ledger
		routes  []string
		reasons []string
	}{
		{"no ledger", nil, []string{all}, nil},
		{"confirmed", &Ledger{Confirmed: true, Holdings: map[netip.Addr]ledger.Holding{one: held(true, "db", "web")}}, []string{all}, nil},
		{"confirmed, of one", &Ledger{Confirmed: true, Holdings: map[netip.Addr]ledger.Holding{one: held(true, "web")}},
			[]string{"10.20.30.1/32 to tor1 for web"}, []string{"Service db notAllocated"}},
		{"confirmed, of another", &Ledger{Confirmed: true, Holdings: map[netip.Addr]ledger.Holding{one: held(false, "old")}},
			nil, []string{"Service db notAllocated", "Service web notAllocated"}},
		{"confirmed, of nobody", &Ledger{Confirmed: true}, nil, []string{"Service db notAllocated", "Service web notAllocated"}},
		{"a moment ago it was there", &Ledger{Confirmed: true, Lingering: map[Shown]bool{{serviceName("web"), one}: true}},
			[]string{"10.20.30.1/32 to tor1 for web"}, []string{"Service db notAllocated"}},
		{"and now it is another's", &Ledger{Confirmed: true, Lingering: map[Shown]bool{{serviceName("web"), one}: true},
			Holdings: map[netip.Addr]ledger.Holding{one: held(false, "db")}},
			[]string{"10.20.30.1/32 to tor1 for db"}, []string{"Service web notAllocated"}},
		{"lost", &Ledger{}, []string{all}, nil},
		{"being made again", &Ledger{Holdings: map[netip.Addr]ledger.Holding{one: held(true, "db")}}, []string{all}, nil},
		{"of an earlier time", &Ledger{Holdings: map[netip.Addr]ledger.Holding{one: held(false, "old")}}, []string{all}, nil},
		{"two show it, and one has it", &Ledger{Holdings: map[netip.Addr]ledger.Holding{one: held(false, "db")}},
			[]string{"10.20.30.1/32 to tor1 for db"}, []string{"Service web notAllocated"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture("node-a")
			f.pool("p", "10.20.30.0/24")
			f.peer("tor1", "172.20.0.1")
			f.bgp("ad", func(*metallb.BGPAdvertisementSpec) {})
			f.service("web", "10.20.30.1")
			f.service("db", "10.20.30.1")
			f.service("old")
			f.Ledger = tt.ledger
			out := Plan(f.Input)
			diff(t, "routes", tt.routes, routes(out)["node-a"])
			diff(t, "reasons", tt.reasons, reasons(out))
		})
	}
}

// TestOneAddressOfTwoIsNotAllocated: the other one is announced.
func TestOneAddressOfTwoIsNotAllocated(t *testing.T) {
	f := newFixture("node-a")
	f.pool("p", "10.20.30.0/24", "2001:db8::/64")
	f.l2("ad")
	f.service("web", "10.20.30.1", "2001:db8::1")
	f.Ledger = &Ledger{Confirmed: true, Holdings: map[netip.Addr]ledger.Holding{netip.MustParseAddr("2001:db8::1"): held(false, "web")}}
	out := f.settle(t)
	diff(t, "owners", map[string]string{"2001:db8::1": "node-a"}, layer2(t, out))
	diff(t, "reasons", []string{"Service web notAllocated"}, reasons(out))
}
