package bgp

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// BenchmarkOneChangedRoute is the cost of one changed route among 5,000, for two sessions.
func BenchmarkOneChangedRoute(b *testing.B) {
	s := New(Options{Node: "node1", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	s.opener, s.node = newScript(), &fakeNode{way: egress{ipv4: netip.MustParseAddr("192.0.2.11")}}
	items := []*ingotv1.Item{sessionItem("tor1"), sessionItem("tor2")}
	for i := range 5000 {
		items = append(items, routeItem(fmt.Sprintf("10.0.%d.%d/32", i/256, i%256), to("tor1", "tor2")))
	}
	s.Apply(b.Context(), items, false)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		items[2] = routeItem("10.0.0.0/32", &ingotv1.BgpAdvertisement{Peers: []string{"tor1"}, Communities: []uint32{uint32(i)}})
		s.Apply(b.Context(), items, false)
	}
}
