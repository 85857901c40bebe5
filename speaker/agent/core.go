package agent

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/speaker/saved"
)

// core is the agent's state. Everything that changes it happens under one lock, announcers included: an update is
// applied, saved and answered before the next one is looked at.
type core struct {
	log        *slog.Logger
	node       string
	announcers map[ingotv1.Lane]Announcer
	store      *saved.Store
	metrics    *metrics

	mu        sync.Mutex
	state     *desired.State
	announced *announcedSet
	// addresses that the centre's endpoints resolved to, as saved.
	addresses map[string][]string
	// level is the log's, nil if it is nobody's business; told is what the centre says it is, as saved.
	level *logging.Level
	told  string
	// saveFailing keeps the log to one line for each time that saving begins to fail.
	saveFailing bool
	// refusing is why the centre is not obeyed; empty when it is, or is away.
	refusing string
	// confirmed says that a leader was obeyed since the process started; standing is what replicas were told last.
	confirmed bool
	standing  *ingotv1.Standing
	streams   map[*stream]struct{}
	links     map[string]*link
	observed  observations
	// leaving says that the speaker is about to stop.
	leaving bool
	runs    map[ingotv1.Lane]bool
}

func newCore(a *Agent) *core {
	return &core{
		log:        a.log,
		node:       a.opts.Node,
		announcers: a.opts.Announcers,
		store:      saved.NewStore(a.opts.StateDir, a.opts.Node, a.opts.BootID),
		metrics:    a.metrics,
		level:      a.opts.LogLevel,
		state:      desired.New(),
		announced:  newAnnouncedSet(),
		streams:    map[*stream]struct{}{},
		links:      map[string]*link{},
		runs:       map[ingotv1.Lane]bool{},
	}
}

// restore makes state true on the node.
func (c *core) restore(ctx context.Context, state *desired.State, addresses map[string][]string, logLevel string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.addresses = state, addresses
	c.setLogLevel(logLevel)
	items := 0
	for _, lane := range desired.Lanes {
		// Where the newest content was rejected, the node announced older content: that first.
		if good, differs := state.LastGood(lane); differs {
			c.applyItems(ctx, lane, good, true)
		}
		c.state.Record(lane, c.applyItems(ctx, lane, c.state.Items(lane), true))
		ids := c.ids(lane)
		items += len(ids)
		c.settle(lane, ids, nil)
	}
	st := state.Standing()
	if st.Lineage == "" {
		c.log.Info("the centre was never heard; announcing nothing until it is")
		return
	}
	c.log.Info("announcing again what was announced before", "event", "stateRestored", "items", items,
		"lineage", st.Lineage, "epoch", st.Epoch, "revision", st.Revision)
}

// update obeys or refuses one update, and returns the answer.
func (c *core) update(ctx context.Context, s *stream, u *ingotv1.Update) *ingotv1.Ack {
	c.mu.Lock()
	defer c.mu.Unlock()
	lane := u.GetLane()
	out := c.state.Apply(s.replica, u)
	switch {
	case out.Refused():
		c.metrics.refused.WithLabelValues(refusalName(out.Ack.GetRefusal())).Inc()
	case out.Committed && len(out.Changed)+len(out.Removed) > 0:
		if announcer, ok := c.announcers[lane].(explained); ok && len(out.Removed) > 0 {
			reasons := make(map[string]string, len(out.Removed))
			for _, rm := range out.Removed {
				reasons[rm.Held.Item.GetId()] = rm.Reason
			}
			announcer.Explain(reasons)
		}
		results := c.applyItems(ctx, lane, c.state.Items(lane), false)
		recorded := c.state.Record(lane, results)
		c.settle(lane, append(recorded[:len(recorded):len(recorded)], out.Changed...), out.Removed)
		out.Ack.Results = c.state.Results(out, forRemoved(out, results))
		c.tell(s, lane, recorded, out.Ack)
		c.save()
	case out.Committed:
		out.Ack.Results = c.state.Results(out, nil)
		c.save()
	}
	if out.Committed {
		c.heedSettings(s)
	}
	c.log.Debug("update answered", "op", "update", "lane", protocolName(lane), "nonce", u.GetNonce(), "epoch", u.GetEpoch(), "revision", u.GetRevision(),
		"upserts", len(u.GetUpserts()), "removals", len(u.GetRemovals()), "refusal", out.Ack.GetMessage())
	c.noteRefusal()
	return out.Ack
}

// applyItems hands the lane's items to its announcer. Without one, every item is rejected.
func (c *core) applyItems(ctx context.Context, lane ingotv1.Lane, items []*ingotv1.Item, restored bool) []*ingotv1.ItemResult {
	if announcer := c.announcers[lane]; announcer != nil {
		return announcer.Apply(ctx, items, restored)
	}
	results := make([]*ingotv1.ItemResult, 0, len(items))
	for _, item := range items {
		results = append(results, &ingotv1.ItemResult{
			Id: item.GetId(), Digest: item.GetDigest(),
			Status: ingotv1.ItemResult_STATUS_REJECTED,
			Reason: "this speaker does not serve " + protocolName(lane),
		})
	}
	return results
}

// forRemoved picks the results that an announcer gave for items that are no longer there.
func forRemoved(out desired.Outcome, results []*ingotv1.ItemResult) []*ingotv1.ItemResult {
	gone := map[string]bool{}
	for _, rm := range out.Removed {
		gone[rm.Held.Item.GetId()] = true
	}
	var picked []*ingotv1.ItemResult
	for _, r := range results {
		if gone[r.GetId()] {
			picked = append(picked, r)
		}
	}
	return picked
}

// settle brings the record of announced Services in line with the items touched, and logs what began and ended.
func (c *core) settle(lane ingotv1.Lane, touched []string, removed []desired.Removed) {
	change := c.announced.change()
	reasons := map[announcement]string{}
	for _, rm := range removed {
		for _, a := range announcementsOf(rm.Held) {
			reasons[a] = rm.Reason
		}
		change.set(lane, rm.Held.Item.GetId(), nil)
	}
	for _, id := range touched {
		if held, ok := c.state.Get(lane, id); ok {
			change.set(lane, id, announcementsOf(held))
		}
	}
	began, ended := change.commit()
	for _, a := range began {
		c.log.Info("service has IP, announcing", "event", "serviceAnnounced",
			"service", a.service, "ips", []string{a.ip}, "protocol", a.protocol)
	}
	for _, a := range ended {
		args := []any{"event", "serviceWithdrawn", "service", a.service, "ip", a.ip, "protocol", a.protocol}
		word, detail := reasonOf(reasons[a])
		if args = append(args, "reason", word); detail != "" {
			args = append(args, "detail", detail)
		}
		c.log.Info("withdrawing service announcement", args...)
	}
}

// reasonOf takes a removal's reason apart: the word that users of MetalLB search for, where there is one, and the
// sentence after it.
func reasonOf(reason string) (word, detail string) {
	if reason == "" {
		return "the announcement changed", ""
	}
	if before, after, ok := strings.Cut(reason, ": "); ok && !strings.Contains(before, " ") {
		return before, after
	}
	return reason, ""
}

// save keeps the state. A failure does not keep anything from being announced or acknowledged: the network already
// does what was asked, and only a restart would forget it.
func (c *core) save() {
	err := c.store.Save(c.state.Save(), c.addresses, c.told)
	if err != nil {
		c.metrics.saveFailures.Inc()
		if !c.saveFailing {
			c.log.Error("a restart would forget what is announced now", "op", "saveState", "error", err)
		}
	} else if c.saveFailing {
		c.log.Info("the state is saved again", "op", "saveState")
	}
	c.saveFailing = err != nil
}

// remember notes the centre's addresses for a restart without DNS.
func (c *core) remember(addresses map[string][]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addresses = addresses
	c.save()
}

func (c *core) ids(lane ingotv1.Lane) []string {
	held := c.state.Held(lane)
	ids := make([]string, 0, len(held))
	for _, h := range held {
		ids = append(ids, h.Item.GetId())
	}
	return ids
}

func (c *core) running(lane ingotv1.Lane, runs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[lane] = runs
}
