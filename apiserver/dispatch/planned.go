package dispatch

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/plan"
)

// Planned is what a plan of the leader was made from, and what came of it besides orders. All of it is shared and must
// not be changed.
type Planned struct {
	// Epoch is that of the leadership.
	Epoch uint64
	// Config is the configuration as it is stored.
	Config *metallb.Configuration
	Nodes  []*corev1.Node
	// Secrets are those of the system namespace, by name.
	Secrets map[string]*corev1.Secret
	// Withheld is what the plan holds back.
	Withheld []plan.Withheld
	// Layer2 are the layer-2 addresses that are announced, and WhyNot says why a node does not own one of them; both are
	// decided, and stored if this replica still leads.
	Layer2 map[netip.Addr]plan.Layer2Decision
	WhyNot func(a netip.Addr, node string) string
	// Refused is why nodes cannot keep sessions: by BGPPeer and node.
	Refused map[string]map[string]string
}

// refusedSessions is why connected nodes cannot keep the sessions that they shall have: by BGPPeer and node.
func (n *nodes) refusedSessions() map[string]map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	refused := map[string]map[string]string{}
	for name, x := range n.byName {
		if x.stream == nil {
			continue
		}
		for id, why := range x.rejected {
			peer, ok := plan.SessionPeer(id)
			if !ok || why == "" { // why comes with the first report
				continue
			}
			if refused[peer] == nil {
				refused[peer] = map[string]string{}
			}
			refused[peer][name] = why
		}
	}
	return refused
}
