package rules

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func protected(value string) *metallb.IPAddressPool {
	p := newPool("web", "10.0.0.0/24")
	p.Annotations = map[string]string{DeletionProtection: value}
	return p
}

func deleting(p *metallb.IPAddressPool) *metallb.IPAddressPool {
	p = p.DeepCopy()
	p.DeletionTimestamp = new(metav1.NewTime(time.Unix(1, 0)))
	p.Finalizers = []string{"example.org/wait"}
	return p
}

func TestDeletionProtection(t *testing.T) {
	refused := `metadata.annotations[ingot.io/deletion-protection]: Forbidden: is "true": remove the annotation first if the object shall be deleted`
	tests := []struct {
		name     string
		old, new runtime.Object
		ends     bool
		want     string
	}{
		{name: "not protected", old: newPool("web", "10.0.0.0/24")},
		{name: "protected", old: protected("true"), want: refused},
		{name: "not any more", old: protected("false")},
		{name: "the namespace ends", old: protected("true"), ends: true},
		{name: "with finalizers", old: protected("true"), new: deleting(protected("true")), want: refused},
		{name: "with finalizers, the namespace ends", old: protected("true"), new: deleting(protected("true")), ends: true},
		{name: "finalizers go", old: deleting(protected("true")), new: deleting(protected("true"))},
		{name: "finalizers have gone", old: deleting(protected("true"))},
		{name: "annotation goes", old: protected("true"), new: newPool("web", "10.0.0.0/24")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			errs, _ := Check(nil, Change{Resource: "ipaddresspools", Old: tt.old, New: tt.new, Terminating: tt.ends})
			got := ""
			if len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeletionOfWhatIsInUseWarns(t *testing.T) {
	web, db := newPool("web", "10.0.0.0/24", "2001:db8::/64"), newPool("db", "10.1.0.0/24")
	byName, all := bgpAdv(metallb.BGPAdvertisementSpec{IPAddressPools: []string{"web"}, Peers: []string{"tor"}}), l2Adv(metallb.L2AdvertisementSpec{})
	l2 := l2Adv(metallb.L2AdvertisementSpec{IPAddressPools: []string{"web"}})
	tor := newPeer(func(*metallb.BGPPeerSpec) {})
	holders := []Holder{
		{"shop/front", []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("2001:db8::7")}},
		{"shop/back", []netip.Addr{netip.MustParseAddr("10.1.0.7")}},
		{"other/one", []netip.Addr{netip.MustParseAddr("192.0.2.1")}},
	}
	var many []Holder
	for i := range 13 {
		many = append(many, Holder{fmt.Sprintf("shop/s%02d", i), []netip.Addr{netip.AddrFrom4([4]byte{10, 1, 0, byte(i)})}})
	}
	tests := []struct {
		name    string
		c       metallb.Configuration
		old     runtime.Object
		holders []Holder
		want    []string
	}{
		{"pool", metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{web}, BGPAdvertisements: []*metallb.BGPAdvertisement{byName}, L2Advertisements: []*metallb.L2Advertisement{l2}},
			web, holders, []string{`IPAddressPool "web" is in use by BGPAdvertisement "adv", L2Advertisement "adv", Service shop/front (10.0.0.7), Service shop/front (2001:db8::7)`}},
		{"pool of many", metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{db}}, db, many, []string{
			`IPAddressPool "db" is in use by Service shop/s00 (10.1.0.0), Service shop/s01 (10.1.0.1), Service shop/s02 (10.1.0.2), Service shop/s03 (10.1.0.3), ` +
				`Service shop/s04 (10.1.0.4), Service shop/s05 (10.1.0.5), Service shop/s06 (10.1.0.6), Service shop/s07 (10.1.0.7), Service shop/s08 (10.1.0.8), ` +
				`Service shop/s09 (10.1.0.9) and 3 more`}},
		{"pool of nobody", metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{web}}, web, holders[2:], nil},
		{"peer", metallb.Configuration{BGPPeers: []*metallb.BGPPeer{tor}, BGPAdvertisements: []*metallb.BGPAdvertisement{byName}}, tor, nil, []string{`BGPPeer "tor" is in use by BGPAdvertisement "adv"`}},
		{"peer of nobody", metallb.Configuration{BGPPeers: []*metallb.BGPPeer{tor}}, tor, nil, nil},
		{"the only advertisement", metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{web, db}, BGPAdvertisements: []*metallb.BGPAdvertisement{byName}},
			byName, holders, []string{`BGPAdvertisement "adv" is in use by Service shop/front (10.0.0.7), Service shop/front (2001:db8::7)`}},
		{"one of two advertisements", metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{web, db}, BGPAdvertisements: []*metallb.BGPAdvertisement{byName},
			L2Advertisements: []*metallb.L2Advertisement{all}}, byName, holders, nil},
		{"the wider of the two", metallb.Configuration{IPAddressPools: []*metallb.IPAddressPool{web, db}, BGPAdvertisements: []*metallb.BGPAdvertisement{byName},
			L2Advertisements: []*metallb.L2Advertisement{all}}, all, holders, []string{`L2Advertisement "adv" is in use by Service shop/back (10.1.0.7)`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			errs, warnings := Check(&tt.c, Change{Resource: "tested", Old: tt.old, Holders: tt.holders})
			if len(errs) > 0 {
				t.Errorf("refused: %v", errs)
			}
			if diff := cmp.Diff(tt.want, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
