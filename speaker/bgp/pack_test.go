package bgp

import (
	"fmt"
	"testing"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/netns"
)

// TestAFreshSessionGetsItsRoutesInFewMessages: what is there before the session is packed, as many prefixes of the same
// attributes in an UPDATE as fit.
func TestAFreshSessionGetsItsRoutesInFewMessages(t *testing.T) {
	t.Parallel()
	const routes = 1000
	node := netns.New(t, "node")
	r := newRouter(t, node, 1, routerASN, neighbour("NODE4", "64500")...)
	p := node.Start(t)
	items := []*ingotv1.Item{external("tor", r.address4), guardItem(routes, "198.18.0.0/15")}
	for i := range routes {
		items = append(items, routeItem(fmt.Sprintf("198.18.%d.%d/32", i/250, i%250), to("tor")))
	}
	p.Apply(t, items...)
	netns.Eventually(t, patience, func() error {
		_, err := r.path("198.18.3.249/32", r.node4)
		return err
	})
	if n := r.mustNeighbour(t, r.node4).Messages.UpdatesReceived; n > routes/50 {
		t.Errorf("%d UPDATEs for %d routes", n, routes)
	}
}
