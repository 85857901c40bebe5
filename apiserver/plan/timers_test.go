package plan

import (
	"testing"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// The bounds of docs/layer2-failover.md are derived from the timers of package ownership, and hold only if the centre orders
// just these.
func TestTheCentreOrdersTheTimersThatTheBoundsAreDerivedFrom(t *testing.T) {
	if watchInterval != ownership.BFDInterval || watchMultiplier != ownership.BFDMultiplier {
		t.Errorf("BFD of %v × %d is ordered, the bounds are of %v × %d", watchInterval, watchMultiplier, ownership.BFDInterval, ownership.BFDMultiplier)
	}
	if maxStandbys != ownership.MaxStandbys {
		t.Errorf("%d nodes are ordered to stand by at most, %d can", maxStandbys, ownership.MaxStandbys)
	}
}
