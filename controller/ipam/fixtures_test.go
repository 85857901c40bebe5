package ipam

import (
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

func ranges(t testing.TB, texts ...string) []addrrange.Range {
	t.Helper()
	var rs []addrrange.Range
	for _, text := range texts {
		r, err := addrrange.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	return rs
}

// openPool is a pool for everybody.
func openPool(t testing.TB, name string, addresses ...string) Pool {
	return Pool{Name: name, Ranges: ranges(t, addresses...), AutoAssign: true}
}

func pinnedPool(t testing.TB, name string, pin Pin, addresses ...string) Pool {
	p := openPool(t, name, addresses...)
	p.Pin = &pin
	return p
}

func with(pools ...Pool) *Allocator {
	a := New()
	a.SetPools(pools)
	return a
}

func service(name string) Service {
	return Service{Key: "default/" + name, Namespace: "default", Ports: []Port{{"TCP", 80}}}
}

func addrs(texts ...string) []netip.Addr {
	var as []netip.Addr
	for _, text := range texts {
		as = append(as, netip.MustParseAddr(text))
	}
	return as
}

func selector(t testing.TB, text string) []labels.Selector {
	t.Helper()
	s, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return []labels.Selector{s}
}

var (
	v4         = Families{First: IPv4}
	v6         = Families{First: IPv6}
	require    = Families{First: IPv4, Dual: true}
	prefer4    = Families{First: IPv4, Dual: true, Either: true}
	prefer6    = Families{First: IPv6, Dual: true, Either: true}
	byAddrType = func(x, y netip.Addr) bool { return x == y }
)
