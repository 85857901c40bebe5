package segment

import (
	"cmp"
	"slices"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// Peer says what is known of another node on a link; the zero Peer of one that is not watched.
func (w *Watcher) Peer(link, node string) Peer {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.segments[link]
	if s == nil || s.peers[node] == nil {
		return Peer{}
	}
	p := s.peers[node]
	return Peer{BFD: p.state(), Since: p.status.Since, Known: p.known, Answer: p.host.state, LastHeard: p.lastHeard()}
}

// Node returns the name of the node that has a hardware address, if it is one of those that are watched on the link.
func (w *Watcher) Node(link string, mac ownership.MAC) (node string, ok bool) {
	if l := w.heard.Load().links[link]; l != nil {
		node, ok = l.nodes[mac]
	}
	return node, ok
}

// Witness says whether the witnesses of a link are heard.
func (w *Watcher) Witness(link string) Hearing {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.segments[link]
	if s == nil {
		return None
	}
	return s.hearing(w.now())
}

// verifying is the least time between two rounds of questions that were asked for.
const verifying = 100 * time.Millisecond

// Verify has the witnesses of a link asked now. If they answer, Witness says so a round trip later.
func (w *Watcher) Verify(link string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.segments[link]; s != nil {
		w.verify(s)
	}
}

// verify has the witnesses asked now. w.mu is held.
func (w *Watcher) verify(s *segment) {
	now := w.now()
	s.alerted = now + alert
	if s.verified != 0 && now-s.verified < verifying {
		return
	}
	s.verified = now
	for _, h := range s.witnesses() {
		w.hurry(h)
	}
}

// Evidence returns when the link was last seen to work both ways, on CLOCK_BOOTTIME: a packet came by a BFD session that is
// up, or a witness answered. It does not wait.
func (w *Watcher) Evidence(link string) (boottime time.Duration) {
	l := w.heard.Load().links[link]
	if l == nil {
		return 0
	}
	for _, s := range l.sessions {
		_, up := s.Heard()
		boottime = max(boottime, up)
	}
	for _, h := range l.witnesses {
		boottime = max(boottime, time.Duration(h.answered.Load()))
	}
	return boottime
}

// Report adds what is known of the segments to r.
func (w *Watcher) Report(r *ingotv1.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.segments {
		r.Segments = append(r.Segments, s.report())
	}
	slices.SortFunc(r.Segments, func(a, b *ingotv1.SegmentReport) int { return cmp.Compare(a.GetInterface(), b.GetInterface()) })
}
