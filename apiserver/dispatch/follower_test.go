package dispatch

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestFollowersHearOfEveryChangeOfANode, on a replica that does not lead too: there reports tell what acknowledgements
// tell the leader.
func TestFollowersHearOfEveryChangeOfANode(t *testing.T) {
	t.Parallel()
	for _, leads := range []bool{true, false} {
		store := newMemory(configuration())
		if !leads {
			<-store.may
		}
		c := newCentre(t, store, nodeNamed("node1"))
		f := c.hub.Follow()
		becomes := func(what string, is func(NodeState) bool) {
			t.Helper()
			eventually(t, what, func() bool {
				s, _ := c.hub.Node("node1")
				return is(s)
			})
			var names []string
			for len(names) == 0 { // it may have been told in the middle of the last look
				<-f.Changed()
				names = f.Take()
			}
			if diff := cmp.Diff([]string{"node1"}, names); diff != "" {
				t.Errorf("%s: changed (-want +got):\n%s", what, diff)
			}
		}
		p := c.connect(hello("node1", &ingotv1.HeldItem{Lane: routing, Id: "bgp-session/tor", Digest: "old", Status: ingotv1.ItemResult_STATUS_REJECTED}))
		becomes("connected, with what it rejected before", func(s NodeState) bool {
			return s.Connected && s.Rejected["bgp-session/tor"] == "" && len(s.Rejected) == 1
		})

		result := &ingotv1.ItemResult{Id: "bgp-session/tor", Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: "no such device"}
		if leads {
			p.welcomeLeading()
			for range allLanes { // in either order
				u := p.next().GetUpdate()
				ack := applied(u)
				if u.GetLane() == routing {
					result.Digest = u.GetUpserts()[0].GetDigest()
					ack.Results = []*ingotv1.ItemResult{result}
				}
				p.ack(ack)
			}
		} else {
			p.welcome()
			result.Digest = "new" // what the leader sent is not known here
			p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Report{Report: &ingotv1.Report{Results: []*ingotv1.ItemResult{result}}}})
		}
		becomes("rejected", func(s NodeState) bool { return s.Rejected["bgp-session/tor"] == "no such device" && s.Unacked.IsZero() })
		p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Report{Report: &ingotv1.Report{
			Standing: &ingotv1.Standing{Lineage: "ours", Confirmed: true}}}})
		becomes("obeys", func(s NodeState) bool { return s.Standing.GetConfirmed() })
		if !leads {
			p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Report{Report: &ingotv1.Report{Full: true}}})
			becomes("rejects nothing any more", func(s NodeState) bool { return len(s.Rejected) == 0 })
		}
		p.cancel()
		becomes("gone", func(s NodeState) bool { return !s.Connected })
		eventually(t, "the Node is known", func() bool { return c.hub.HasHostNode("node1") })
		if err := c.client.CoreV1().Nodes().Delete(t.Context(), "node1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		becomes("its Node deleted", func(NodeState) bool { return !c.hub.HasHostNode("node1") })
		c.hub.Unfollow(f)
	}
}
