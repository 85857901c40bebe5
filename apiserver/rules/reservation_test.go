package rules

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func newReservation(name string, addresses ...string) *metallb.IPReservation {
	return &metallb.IPReservation{ObjectMeta: named(name), Spec: metallb.IPReservationSpec{Addresses: addresses}}
}

func reservedFor(namespace, service string) *metallb.IPReservation {
	r := newReservation("r", "10.0.0.7")
	r.Spec.Namespace, r.Spec.Service = namespace, service
	return r
}

func TestReservation(t *testing.T) {
	web := newReservation("web", "10.0.0.128-10.0.0.140", "2001:db8::/120", "10.0.0.3")
	c := &metallb.Configuration{
		IPAddressPools: []*metallb.IPAddressPool{newPool("p", "10.0.0.0/16", "2001:db8::/64")},
		IPReservations: []*metallb.IPReservation{newReservation("other", "10.5.0.0/24"), web},
	}
	run(t, c, []verdict{
		{name: "an address, a CIDR and a range", obj: newReservation("r", "10.0.0.7", "10.0.1.0/28", " 10.0.2.1 - 10.0.2.9 ", "2001:db8::1:7")},
		{name: "for a namespace", obj: reservedFor("shop", "")},
		{name: "for a Service", obj: reservedFor("shop", "web")},
		{name: "for a Service of no namespace", obj: reservedFor("", "web"), want: []problem{{"spec.namespace", "Required value"}}},
		{name: "names that cannot be", obj: reservedFor("a/b", "Web"), want: []problem{{"spec.namespace", `"a/b"`}, {"spec.service", `"Web"`}}},
		{name: "no addresses", obj: newReservation("r"), want: []problem{{"spec.addresses", "at least one address"}}},
		{name: "not an address", obj: newReservation("r", "10.0.0.7", "10.0.0", "fe80::1%eth0", "10.0.0.9-10.0.0.1"), want: []problem{
			{"spec.addresses[1]", `"10.0.0"`}, {"spec.addresses[2]", `"fe80::1%eth0"`}, {"spec.addresses[3]", "is after the end"}}},
		{name: "itself", obj: newReservation("r", "10.0.0.0/30", "10.0.0.7", "10.0.0.1"), want: []problem{
			{"spec.addresses[2]", `Invalid value: "10.0.0.1": overlaps 10.0.0.0/30 of this reservation`}}},
		{name: "another", obj: newReservation("r", "10.0.0.7", "10.0.0.140-10.0.0.150"), want: []problem{
			{"spec.addresses[1]", `overlaps 10.0.0.128-10.0.0.140 of IPReservation "web"`}}},
		{name: "one address of another", obj: newReservation("r", "10.5.0.9", "10.0.0.0/30"), want: []problem{
			{"spec.addresses[0]", `overlaps 10.5.0.0/24 of IPReservation "other"`},
			{"spec.addresses[1]", `overlaps 10.0.0.3 of IPReservation "web"`}}},
		{name: "IPv4 in disguise", obj: newReservation("r", "::ffff:10.0.0.3"), want: []problem{{"spec.addresses[0]", `IPReservation "web"`}}},
		{name: "IPv6", obj: newReservation("r", "2001:db8::ff"), want: []problem{{"spec.addresses[0]", `IPReservation "web"`}}},
		{name: "between", obj: newReservation("r", "10.0.0.4-10.0.0.127", "10.0.0.141-10.4.255.255")},
		{name: "its own former self", old: web, obj: newReservation("web", "10.0.0.130-10.0.0.150")},
		{name: "of no pool", obj: newReservation("r", "10.0.0.7", "192.168.0.0/24"), warnings: []string{
			"spec.addresses[1]: no IPAddressPool has 192.168.0.0/24 (yet)"}},
		{name: "all addresses", obj: newReservation("r", "0.0.0.0/0"), want: []problem{{"spec.addresses[0]", `IPReservation "other"`}, {"spec.addresses[0]", `IPReservation "web"`}}},
	})
}

// TestJudgeFollowsReservations: what was worked out of the reservations before is used again only where it still holds.
func TestJudgeFollowsReservations(t *testing.T) {
	judge := NewJudge(nil)
	c := &metallb.Configuration{}
	for i := range 20 {
		r := newReservation(fmt.Sprintf("r%02d", i), fmt.Sprintf("10.0.%d.0/24", i))
		if errs, _ := judge.Check(c, Change{Resource: "ipreservations", New: r}); len(errs) > 0 {
			t.Fatal(errs)
		}
		c = &metallb.Configuration{IPReservations: append(c.IPReservations[:len(c.IPReservations):len(c.IPReservations)], r)}
	}
	if errs, _ := judge.Check(c, Change{Resource: "ipreservations", New: newReservation("new", "10.0.7.5")}); len(errs) != 1 {
		t.Errorf("over an old one: %v", errs)
	}
	c = &metallb.Configuration{IPReservations: append(c.IPReservations[:7:7], c.IPReservations[8:]...)}
	if errs, _ := judge.Check(c, Change{Resource: "ipreservations", New: newReservation("new", "10.0.7.5")}); len(errs) != 0 {
		t.Errorf("over one that is gone: %v", errs)
	}
}

func TestReservationOfWhatOthersHold(t *testing.T) {
	holders := []Holder{
		{Name: "blog/web", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7")}},
		{Name: "shop/web", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("2001:db8::7")}},
		{Name: "shop/db", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7")}},
		{Name: "shop/far", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.8")}},
	}
	c := &metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{newPool("p", "10.0.0.0/16")}}
	for _, tt := range []struct{ namespace, service, want string }{
		{"", "", "Service blog/web (10.0.0.7), Service shop/db (10.0.0.7), Service shop/web (10.0.0.7)"},
		{"shop", "", "Service blog/web (10.0.0.7)"},
		{"shop", "web", "Service blog/web (10.0.0.7), Service shop/db (10.0.0.7)"},
	} {
		errs, warnings := Check(c, Change{Resource: "ipreservations", New: reservedFor(tt.namespace, tt.service), Holders: holders})
		want := []string{"addresses are held, and kept until they are released, by " + tt.want}
		if diff := cmp.Diff(want, warnings); diff != "" || len(errs) > 0 {
			t.Errorf("for %s/%s: %v, warnings (-want +got):\n%s", tt.namespace, tt.service, errs, diff)
		}
	}
}
