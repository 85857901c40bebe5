package saved

import (
	"fmt"
	"testing"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
)

// BenchmarkSave is what a change costs a node that announces 5,000 Services.
func BenchmarkSave(b *testing.B) {
	s := snapshot()
	var items []desired.Held
	for i := range 5000 {
		prefix := fmt.Sprintf("10.%d.%d.%d/32", i>>16, i>>8&255, i&255)
		items = append(items, desired.Held{Status: ingotv1.ItemResult_STATUS_APPLIED, Item: &ingotv1.Item{
			Id: "bgp-route/" + prefix, Digest: fmt.Sprintf("%064d", i),
			Content: &ingotv1.Item_BgpRoute{BgpRoute: &ingotv1.BgpRoute{
				Prefix:         prefix,
				Advertisements: []*ingotv1.BgpAdvertisement{{Peers: []string{"tor1", "tor2"}}},
				Services:       []*ingotv1.ServiceRef{{Namespace: "default", Name: fmt.Sprintf("web-%d", i)}},
			}},
		}})
	}
	s.State.Lanes[ingotv1.Lane_LANE_ROUTING] = desired.SavedLane{Items: items}
	store := NewStore(b.TempDir(), "node1", "boot1")
	for b.Loop() {
		if err := store.Save(s.State, s.Addresses, s.LogLevel); err != nil {
			b.Fatal(err)
		}
	}
}
