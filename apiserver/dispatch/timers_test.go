package dispatch

import (
	"testing"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// What a speaker is told of heartbeats is what it does: docs/layer2-failover.md derives its bounds from that.
func TestHeartbeatsCountForAsLongAsStandbysHaveIt(t *testing.T) {
	if heartbeatValidity != ownership.CentreLost {
		t.Errorf("speakers are told that a heartbeat counts for %v, standbys have %v", heartbeatValidity, ownership.CentreLost)
	}
	if 2*heartbeatInterval >= ownership.CentreFresh {
		t.Errorf("one heartbeat in %v may not be late: an owner is silent after %v", heartbeatInterval, ownership.CentreFresh)
	}
}
