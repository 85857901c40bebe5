package agent

import (
	"context"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// leavePoll is how often is looked whether the node's addresses were given away.
const leavePoll = 20 * time.Millisecond

// Leave tells the centre that the speaker is about to stop, and goes on until the layer-2 addresses that others stand by for
// were given away and that was acknowledged, or ctx ends. It returns at once where there is no such address, or nobody to
// give it away. The node goes on forwarding what still comes, for it does so without the speaker.
func (a *Agent) Leave(ctx context.Context) {
	if a.core.leave() == 0 {
		return
	}
	a.log.Info("stopping: waiting for layer-2 addresses to be taken over", "event", "speakerLeaving")
	ticker := time.NewTicker(leavePoll)
	defer ticker.Stop()
	// The acknowledgement is out of our hands one tick after it left the outbox.
	for idle := 0; idle < 2; {
		select {
		case <-ctx.Done():
			a.log.Warn("not every layer-2 address was taken over in time", "event", "speakerLeaves", "addresses", a.core.leave())
			return
		case <-ticker.C:
		}
		if a.core.leave() > 0 {
			idle = 0
		} else if a.core.sent() {
			idle++
		}
	}
}

// leave has every stream told that the speaker is about to stop, and returns how many addresses are still to be given away:
// none if there is nobody to do it.
func (c *core) leave() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	obeyed := false
	for s := range c.streams {
		if s.welcomed {
			s.out.leave()
		}
		obeyed = obeyed || s.replica.Leading() && s.replica.Obeyed()
	}
	if !obeyed {
		return 0
	}
	owned := 0
	for _, h := range c.state.Held(ingotv1.Lane_LANE_LAYER2) {
		if l2 := h.Item.GetLayer2Address(); l2.GetRole() == ingotv1.Layer2Address_ROLE_OWNER && len(l2.GetStandbys()) > 0 {
			owned++
		}
	}
	return owned
}

// sent says whether every acknowledgement was handed to the transport.
func (c *core) sent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.streams {
		if !s.out.acked() {
			return false
		}
	}
	return true
}
