package agent

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
)

// observations are what the announcers last said, by the name of what they say it of.
type observations struct {
	sessions map[string]*ingotv1.SessionReport
	layer2   map[string]*ingotv1.Layer2Report
	links    map[string]*ingotv1.LinkReport
	bfd      map[string]*ingotv1.BfdReport
	segments map[string]*ingotv1.SegmentReport
	leaving  bool
}

// reportChanges reports to every replica what changes, gathered over the coalescing time, and now and then all.
func (a *Agent) reportChanges(ctx context.Context) {
	t := a.opts.timing
	all := time.NewTicker(t.fullReport - rand.N(t.fullReport/10))
	defer all.Stop()
	// Each node in its own time, so that they do not all come at once.
	counted := func() time.Duration { return t.counters + rand.N(t.counters) }
	counters := time.NewTimer(counted())
	defer counters.Stop()
	routing, layer2 := a.changed(ingotv1.Lane_LANE_ROUTING), a.changed(ingotv1.Lane_LANE_LAYER2)
	hurry := a.urgent()
	gathered := newGathering(t.coalesce)
	defer gathered.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-routing:
			gathered.changed(time.Now())
		case <-layer2:
			gathered.changed(time.Now())
		case <-hurry:
			gathered.urgent(time.Now())
		case <-gathered.timer.C:
			a.core.observe(withoutCounters)
			gathered.reported(time.Now())
		case <-counters.C:
			a.core.observe(withCounters)
			counters.Reset(counted())
		case <-all.C:
			a.core.reportAll()
		}
	}
}

func (a *Agent) changed(lane ingotv1.Lane) <-chan struct{} {
	if announcer := a.opts.Announcers[lane]; announcer != nil {
		return announcer.Changed()
	}
	return nil
}

func (a *Agent) urgent() <-chan struct{} {
	if u, ok := a.opts.Announcers[ingotv1.Lane_LANE_LAYER2].(urgent); ok {
		return u.Urgent()
	}
	return nil
}

// reportAll sends everything to every replica.
func (c *core) reportAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := c.look(withCounters)
	for s := range c.streams {
		if s.welcomed {
			s.out.report(full, full)
		}
	}
}

// Whether counters that went on are news.
const (
	withoutCounters = false
	withCounters    = true
)

// observe asks the announcers what they see, reports what is new to every replica, and returns all of it.
func (c *core) observe(counters bool) *ingotv1.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.look(counters)
}

// look is observe. Whoever sends what it returns holds c.mu from before until then: a change that is reported in between would be
// older than what is sent after it.
func (c *core) look(counters bool) *ingotv1.Report {
	full := &ingotv1.Report{Full: true}
	for _, lane := range desired.Lanes {
		if announcer := c.announcers[lane]; announcer != nil {
			announcer.Report(full)
		}
	}
	delta := &ingotv1.Report{Results: c.recordLate(full.GetResults())}
	vanished := c.observed.replace(full, delta, counters)

	full.Results = nil
	for _, lane := range desired.Lanes {
		for _, h := range c.state.Held(lane) {
			if h.Status != ingotv1.ItemResult_STATUS_APPLIED {
				full.Results = append(full.Results, h.Result())
			}
		}
	}
	if vanished {
		// Only a full report can say that something is no more.
		delta = with(full, mergeResults(full.Results, delta.Results), nil)
	}
	if vanished || proto.Size(delta) > 0 {
		for s := range c.streams {
			if s.welcomed {
				s.out.report(delta, full)
			}
		}
	}
	return full
}

// recordLate notes results that changed after their acknowledgement, and returns those that are news.
func (c *core) recordLate(results []*ingotv1.ItemResult) []*ingotv1.ItemResult {
	var news []*ingotv1.ItemResult
	for _, lane := range desired.Lanes {
		changed := c.state.Record(lane, results)
		c.settle(lane, changed, nil)
		for _, id := range changed {
			if h, ok := c.state.Get(lane, id); ok {
				news = append(news, h.Result())
			}
		}
	}
	if len(news) > 0 {
		c.save()
	}
	return news
}

// tell reports the results of an update to the replicas that did not send it, and to the one that did what the
// acknowledgement does not hold: items that changed although it did not name them.
func (c *core) tell(from *stream, lane ingotv1.Lane, recorded []string, ack *ingotv1.Ack) {
	named := map[string]bool{}
	for _, r := range ack.GetResults() {
		named[r.GetId()] = true
	}
	var others []*ingotv1.ItemResult
	for _, id := range recorded {
		if h, ok := c.state.Get(lane, id); ok && !named[id] {
			others = append(others, h.Result())
		}
	}
	for s := range c.streams {
		results := others
		if s != from {
			results = append(ack.GetResults()[:len(ack.GetResults()):len(ack.GetResults())], others...)
		}
		// Also to those who have not said welcome yet: their hello is older than this.
		if len(results) > 0 {
			s.out.add(&ingotv1.Report{Results: results})
		}
	}
}

// replace takes in what full says, adds to delta what of it is new, and says whether something is no more. What it holds
// of sessions is what was told: counters that went on since are news when counters says so.
func (o *observations) replace(full, delta *ingotv1.Report, counters bool) (vanished bool) {
	sessions := map[string]*ingotv1.SessionReport{}
	for _, r := range full.GetSessions() {
		key := r.GetVrf() + "/" + r.GetPeer() + "/" + r.GetAddress()
		sessions[key] = o.sessions[key]
		if news(o.sessions[key], r, counters) {
			sessions[key] = r
			delta.Sessions = append(delta.Sessions, r)
		}
	}
	bfd := map[string]*ingotv1.BfdReport{}
	for _, r := range full.GetBfd() {
		bfd[r.GetPeer()] = o.bfd[r.GetPeer()]
		if news(o.bfd[r.GetPeer()], r, counters) {
			bfd[r.GetPeer()] = r
			delta.Bfd = append(delta.Bfd, r)
		}
	}
	layer2 := map[string]*ingotv1.Layer2Report{}
	for _, r := range full.GetLayer2() {
		layer2[r.GetAddress()] = r
		if !proto.Equal(r, o.layer2[r.GetAddress()]) {
			delta.Layer2 = append(delta.Layer2, r)
		}
	}
	links, changed := map[string]*ingotv1.LinkReport{}, false
	for _, r := range full.GetLinks() {
		links[r.GetName()] = r
		changed = changed || !proto.Equal(r, o.links[r.GetName()])
	}
	if changed {
		delta.Links = full.GetLinks()
	}
	segments := map[string]*ingotv1.SegmentReport{}
	for _, r := range full.GetSegments() {
		segments[r.GetInterface()] = r
		if !proto.Equal(r, o.segments[r.GetInterface()]) {
			delta.Segments = append(delta.Segments, r)
		}
	}
	vanished = lost(o.sessions, sessions) || lost(o.layer2, layer2) || lost(o.links, links) || lost(o.bfd, bfd) || lost(o.segments, segments)
	// Whoever leaves says so with each report; who stays after all, with a full one.
	delta.Leaving = full.GetLeaving() && (!o.leaving || vanished || proto.Size(delta) > 0)
	vanished = vanished || o.leaving && !full.GetLeaving()
	*o = observations{sessions: sessions, layer2: layer2, links: links, bfd: bfd, segments: segments, leaving: full.GetLeaving()}
	return vanished
}

// news says whether now says what before does not, which may be nil. Counters alone are news only when asked for.
func news[M proto.Message](before, now M, counters bool) bool {
	if !before.ProtoReflect().IsValid() {
		return true
	}
	if counters || proto.Equal(before, now) {
		return !proto.Equal(before, now)
	}
	return !proto.Equal(uncounted(before), uncounted(now))
}

// uncounted is a copy of a report without its counters.
func uncounted(m proto.Message) proto.Message {
	bare := proto.Clone(m)
	r := bare.ProtoReflect()
	if field := r.Descriptor().Fields().ByName("counters"); field != nil {
		r.Clear(field)
	}
	return bare
}

// lost says whether something in before is not in now.
func lost[V any](before, now map[string]V) bool {
	for key := range before {
		if _, still := now[key]; !still {
			return true
		}
	}
	return false
}

// with returns a report that observes what r does, with other results and standing.
func with(r *ingotv1.Report, results []*ingotv1.ItemResult, standing *ingotv1.Standing) *ingotv1.Report {
	return &ingotv1.Report{
		Full: r.GetFull(), Sessions: r.GetSessions(), Bfd: r.GetBfd(), Layer2: r.GetLayer2(), Links: r.GetLinks(), Segments: r.GetSegments(),
		Leaving: r.GetLeaving(), Results: results, Standing: standing,
	}
}

// mergeResults returns older with what newer says of the same items, and of others.
func mergeResults(older, newer []*ingotv1.ItemResult) []*ingotv1.ItemResult {
	at := map[string]int{}
	var out []*ingotv1.ItemResult
	for _, results := range [][]*ingotv1.ItemResult{older, newer} {
		for _, r := range results {
			if i, ok := at[r.GetId()]; ok {
				out[i] = r
				continue
			}
			at[r.GetId()] = len(out)
			out = append(out, r)
		}
	}
	return out
}
