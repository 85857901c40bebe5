package dispatch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/segment"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestPaceSaysSinceWhen: how often a node asks is known with how often it asked before, and until when.
func TestPaceSaysSinceWhen(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	n := newNodes(func() {}, func() {}, func() time.Time { return now })
	told := func(ms uint32) map[string]*plan.NodePlan {
		item := &ingotv1.Item{Id: plan.SegmentID("eth1"), Content: &ingotv1.Item_Layer2Segment{Layer2Segment: &ingotv1.Layer2Segment{Interface: "eth1", AskIntervalMs: ms}}}
		return map[string]*plan.NodePlan{"node1": {Items: map[ingotv1.Lane]map[string]*ingotv1.Item{layer2Lane: {item.Id: item}}}}
	}
	first := now
	slow, fast := told(2000), told(200)
	for i, step := range []struct {
		plans map[string]*plan.NodePlan
		want  segment.Pace
	}{
		{slow, segment.Pace{Interval: 2 * time.Second, Since: first}},
		{slow, segment.Pace{Interval: 2 * time.Second, Since: first}},
		{told(2000), segment.Pace{Interval: 2 * time.Second, Since: first}},
		{fast, segment.Pace{Interval: 200 * time.Millisecond, Before: 2 * time.Second, Since: first.Add(3 * time.Second)}},
		{told(200), segment.Pace{Interval: 200 * time.Millisecond, Before: 2 * time.Second, Since: first.Add(3 * time.Second)}},
		{nil, segment.Pace{}},
		{fast, segment.Pace{Interval: 200 * time.Millisecond, Since: first.Add(6 * time.Second)}},
	} {
		now = first.Add(time.Duration(i) * time.Second)
		n.planned(step.plans)
		if diff := cmp.Diff(step.want, n.pace("node1", "eth1")); diff != "" {
			t.Errorf("plan %d (-want +got):\n%s", i, diff)
		}
	}
	if got := n.pace("node1", "eth2"); got != (segment.Pace{}) {
		t.Errorf("a link on which nothing is asked: %v", got)
	}
}
