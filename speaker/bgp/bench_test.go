package bgp

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// BenchmarkOneChangedRoute is what one changed route costs among others, of four sessions.
func BenchmarkOneChangedRoute(b *testing.B) {
	for _, routes := range []int{100, 10_000} {
		b.Run(fmt.Sprint(routes), func(b *testing.B) {
			s := New(Options{Node: "node1", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			s.opener, s.node = newScript(), &fakeNode{way: egress{ipv4: netip.MustParseAddr("192.0.2.11")}}
			items := []*ingotv1.Item{sessionItem("tor1"), sessionItem("tor2"), sessionItem("tor3"), sessionItem("tor4"), guardItem(routes, "10.0.0.0/8")}
			for i := range routes {
				items = append(items, routeItem(fmt.Sprintf("10.0.%d.%d/32", i/256, i%256), to("tor1", "tor2", "tor3", "tor4")))
			}
			s.Apply(b.Context(), items, false)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				items[5] = routeItem("10.0.0.0/32", &ingotv1.BgpAdvertisement{Peers: []string{"tor1"}, Communities: []uint32{uint32(i)}})
				s.Apply(b.Context(), items, false)
			}
		})
	}
}
