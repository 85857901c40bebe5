package plan

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestADrainedNodesSessionsSaySo: the sessions of the node alone, and its routes stay as they are.
func TestADrainedNodesSessionsSaySo(t *testing.T) {
	annotated := func(value string) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Annotations = map[string]string{Drain: value} }
	}
	f := newFixture("node-a", "node-b")
	f.node("node-c", annotated("true"))
	f.node("node-d", annotated("false"))
	f.pool("pool", "198.51.100.0/24")
	f.peer("tor", "10.0.0.1")
	f.bgp("ad")
	f.service("web", "198.51.100.1")

	out := Plan(f.Input)

	for node, want := range map[string]bool{"node-a": false, "node-b": false, "node-c": true, "node-d": false} {
		if got := sessions(out, node)["tor"].GetDrain(); got != want {
			t.Errorf("%s: drain is %t, want %t", node, got, want)
		}
	}
	all := routes(out)
	diff(t, "routes of the drained node", all["node-a"], all["node-c"])
	if len(all["node-c"]) != 1 {
		t.Errorf("routes %q, want one", all["node-c"])
	}
}
