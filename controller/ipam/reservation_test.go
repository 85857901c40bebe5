package ipam

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func inNamespace(namespace, name string) Service {
	s := service(name)
	s.Namespace, s.Key = namespace, namespace+"/"+name
	return s
}

// TestReservedAddresses: who gets which of 10.0.0.0-10.0.0.3, of which .0 is for nobody, .1 for a Service, and .2 for a
// namespace.
func TestReservedAddresses(t *testing.T) {
	reservations := []Reservation{
		{Name: "router", Ranges: ranges(t, "10.0.0.0/32"), Reason: "the router has it"},
		{Name: "dns", Ranges: ranges(t, "10.0.0.1/32"), Namespace: "shop", Service: "web"},
		{Name: "shop", Ranges: ranges(t, "10.0.0.2/32"), Namespace: "shop"},
	}
	fresh := func() *Allocator {
		a := with(openPool(t, "a", "10.9.0.0/30"), openPool(t, "b", "10.0.0.0/30"))
		a.SetReservations(reservations)
		return a
	}
	tests := []struct {
		name    string
		s       Service
		pool    string // asked for
		addr    string // asked for
		want    string
		refused string
	}{
		{name: "a Service prefers its own, whatever pool comes first", s: inNamespace("shop", "web"), want: "10.0.0.1"},
		{name: "a namespace's comes before the others of the pool", s: inNamespace("shop", "db"), pool: "b", want: "10.0.0.2"},
		{name: "but not before the order of pools", s: inNamespace("shop", "db"), want: "10.9.0.0"},
		{name: "others get what is left", s: inNamespace("blog", "web"), pool: "b", want: "10.0.0.3"},
		{name: "by asking: nobody's", s: inNamespace("shop", "web"), addr: "10.0.0.0",
			refused: `"10.0.0.0" is reserved for nobody by IPReservation "router": the router has it`},
		{name: "by asking: another Service's", s: inNamespace("shop", "db"), addr: "10.0.0.1",
			refused: `"10.0.0.1" is reserved for Service shop/web by IPReservation "dns"`},
		{name: "by asking: another namespace's", s: inNamespace("blog", "web"), addr: "10.0.0.2",
			refused: `"10.0.0.2" is reserved for namespace shop by IPReservation "shop"`},
		{name: "by asking: its own", s: inNamespace("shop", "web"), addr: "10.0.0.1", want: "10.0.0.1"},
		{name: "by asking: its namespace's", s: inNamespace("shop", "web"), addr: "10.0.0.2", want: "10.0.0.2"},
		{name: "a name that only begins alike", s: inNamespace("shop", "web2"), addr: "10.0.0.1", refused: "is reserved for Service shop/web"},
		{name: "a namespace that only begins alike", s: inNamespace("shop2", "web"), addr: "10.0.0.2", refused: "is reserved for namespace shop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := fresh()
			var as Assignment
			var err error
			switch {
			case tt.addr != "":
				as, err = a.Assign(tt.s, addrs(tt.addr))
			case tt.pool != "":
				as, err = a.AllocateFrom(tt.s, tt.pool, v4)
			default:
				as, err = a.Allocate(tt.s, v4)
			}
			if tt.refused != "" {
				var reserved *ReservedError
				if !errors.As(err, &reserved) || !strings.Contains(err.Error(), tt.refused) {
					t.Errorf("error %v, want %q", err, tt.refused)
				}
				return
			}
			if err != nil || as.Addrs[0] != netip.MustParseAddr(tt.want) {
				t.Errorf("got %v, %v; want %s", as, err, tt.want)
			}
		})
	}
}

// TestReservationTakesNothingAway: a holder keeps its address, says what the reservation says, and nobody follows it.
func TestReservationTakesNothingAway(t *testing.T) {
	a := with(openPool(t, "a", "10.0.0.0/31"))
	holder := inNamespace("blog", "old")
	holder.SharingKey = "k"
	if _, err := a.Assign(holder, addrs("10.0.0.0")); err != nil {
		t.Fatal(err)
	}
	dns := []Reservation{{Name: "dns", Ranges: ranges(t, "10.0.0.0/32"), Namespace: "shop"}}
	strangers := a.SetReservations(dns)
	if len(strangers) != 1 || strangers[0].Key != "blog/old" || !strings.Contains(strangers[0].Err.Error(), "namespace shop") {
		t.Fatalf("strangers %+v", strangers)
	}
	if again := a.SetReservations(dns); len(again) != 0 {
		t.Errorf("said twice: %+v", again)
	}
	if _, err := a.Assign(holder, addrs("10.0.0.0")); err != nil {
		t.Errorf("the holder renews it: %v", err)
	}
	sharer := inNamespace("blog", "sharer")
	sharer.SharingKey, sharer.Ports = "k", []Port{{"TCP", 81}}
	if _, err := a.Assign(sharer, addrs("10.0.0.0")); err == nil {
		t.Error("somebody else joins who may not have it")
	}
	a.Release(holder.Key)
	if _, err := a.Assign(holder, addrs("10.0.0.0")); err == nil {
		t.Error("it came back")
	}
	if as, err := a.Allocate(inNamespace("shop", "web"), v4); err != nil || as.Addrs[0] != netip.MustParseAddr("10.0.0.0") {
		t.Errorf("whom it is for: %v, %v", as, err)
	}
	if _, err := with(openPool(t, "a", "10.0.0.0/31")).Adopt(holder, addrs("10.0.0.0")); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}
