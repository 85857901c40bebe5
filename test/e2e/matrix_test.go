package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/test/matrix"
)

// generous is what every gap is below whatever else the machine does; figures are for make bench-l2.
const generous = matrix.Milliseconds(8 * time.Second)

// TestFaultsOfTheNetworkMoveAddressesToNodesThatAreReached is a part of the fault matrix, which make bench-l2 runs whole.
func TestFaultsOfTheNetworkMoveAddressesToNodesThatAreReached(t *testing.T) {
	victims := map[string]string{
		"speaker frozen and resumed": "node3", "lan cut": "node2", "mgmt cut": "node1", "drain": "node3",
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	m, err := matrix.Open(ctx, labDir, cluster.KubeConfig(), "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, f := range matrix.Faults(matrix.Loss) {
		victim, ok := victims[f.Name]
		if !ok {
			continue
		}
		delete(victims, f.Name)
		t.Run(f.Name, func(t *testing.T) {
			if err := m.Settle(ctx); err != nil {
				t.Fatal(err)
			}
			records, err := m.Try(ctx, f, victim)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range matrix.Summarize(records) {
				if s.ClientWorst >= generous || s.OthersGap >= generous {
					t.Errorf("%s: gaps of %s ms, and %s ms of other addresses", s.Row, s.ClientWorst, s.OthersGap)
				}
				if f.Still && s.Moves > 0 || s.OthersMoves > 0 {
					t.Errorf("%s: %d moves, and %d of other addresses; want none", s.Row, s.Moves, s.OthersMoves)
				}
			}
			for _, r := range records {
				if len(r.Wrong)+len(r.Unsettled) > 0 || r.Unnamed != "" {
					t.Errorf("%s: %s; not named: %q among %q", r.Row, strings.Join(append(r.Wrong, r.Unsettled...), "; "), r.Unnamed, r.Named)
				}
			}
		})
	}
	for name := range victims {
		t.Errorf("there is no fault %q", name)
	}
}
