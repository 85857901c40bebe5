package bgp

import (
	"encoding/binary"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/test/admitted"
)

// FuzzAdmitted: what the API accepts and the planner makes of it is not refused here, but for what docs/differences.md
// says is not there yet.
func FuzzAdmitted(f *testing.F) {
	for seed := range uint32(200) {
		f.Add(binary.LittleEndian.AppendUint32(nil, seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		book := admitted.NewBook()
		if _, err := book.Fill(admitted.NewChoices(input), 30); err != nil {
			t.Fatal(err)
		}
		for _, item := range admitted.Items(plan.Plan(admitted.Cluster(book.Config))) {
			switch content := item.GetContent().(type) {
			case *ingotv1.Item_BgpSession:
				cfg, err := parseSession(content.BgpSession)
				if err != nil && !notThereYet(cfg, content.BgpSession) {
					t.Errorf("accepted, planned and refused: %v: %v", content.BgpSession, err)
				}
			case *ingotv1.Item_BgpRoute:
				if _, err := parseRoute(content.BgpRoute); err != nil {
					t.Errorf("accepted, planned and refused: %v: %v", content.BgpRoute, err)
				}
			}
		}
	})
}

// notThereYet says whether a session is of those that docs/differences.md lists.
func notThereYet(cfg sessionConfig, item *ingotv1.BgpSession) bool {
	return item.GetInterface() != "" || cfg.address.IsLinkLocalUnicast() || item.HoldTimeMs != nil && item.GetHoldTimeMs() == 0
}
