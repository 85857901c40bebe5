package segment

import (
	"net/netip"
	"slices"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

const (
	// admission is the least time between hosts that asked for our addresses and are looked at.
	admission = 200 * time.Millisecond
	// outlives is how long a host that asked for our addresses, and answered, may be silent until it is forgotten: it may have
	// been switched off.
	outlives = time.Minute
	// forgets is after how long another host may take the place of one that did not ask again.
	forgets = 5 * time.Minute
	// remacking is the least time between changes of a host's hardware address that are told.
	remacking = time.Second
)

// Heard takes in a message of ARP or NDP with a sender, which received says when the kernel had, on CLOCK_BOOTTIME. answer
// says that it answers a question of this node. It is cheap where the sender is nobody who is watched.
func (w *Watcher) Heard(link string, from netip.Addr, mac ownership.MAC, answer bool, received time.Duration) {
	l := w.heard.Load().links[link]
	if l == nil {
		return
	}
	h := l.hosts[from]
	if h == nil {
		if h = l.frames[mac]; h != nil {
			h.heard.Store(int64(received))
		}
		return
	}
	h.heard.Store(int64(received))
	switch {
	case !answer:
	case h.answering.Load() && h.mac.Load() == pack(mac):
		h.answered.Store(int64(received))
	default:
		w.answered(h, mac, received)
	}
}

// answered takes in that a host answers that did not, or with another hardware address.
func (w *Watcher) answered(h *host, mac ownership.MAC, received time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, now := h.segment, w.now()
	if h.position < 0 || s.proxies(h, mac) {
		return // not asked any more, or not its own answer
	}
	h.answered.Store(int64(received))
	if old := h.mac.Load(); old != pack(mac) && (old == 0 || now-h.remacked >= remacking) {
		h.remacked = now
		h.mac.Store(pack(mac))
		w.sift(s)
		w.reindex()
		w.mark(s)
		if h.position < 0 {
			return // it is a node, and was only asked because it asked
		}
	}
	if h.state == ingotv1.Answer_ANSWER_ANSWERS || h.waiting && received < h.missing-skew && h.misses > 0 {
		return
	}
	was := h.state
	h.answers()
	p := s.pace(h, now)
	h.arrives(now, received, p)
	h.due = now + jitter(p.interval)
	w.schedule.put(h)
	w.told(h, was)
	w.mark(s)
}

// proxies says whether a witness has the hardware address that an answer for a node came from: a router that answers for all
// hosts (proxy ARP) says nothing of whether they are there.
func (s *segment) proxies(h *host, mac ownership.MAC) bool {
	p := s.peerOf(h)
	if p == nil || mac == p.mac {
		return false
	}
	return slices.ContainsFunc(s.witnesses(), func(w *host) bool { return w.mac.Load() == pack(mac) })
}

// Asker takes in that a host asked for an address of ours: it may become a witness.
func (w *Watcher) Asker(link string, from netip.Addr, mac ownership.MAC) {
	l := w.heard.Load().links[link]
	if l == nil || !from.IsValid() || from.IsUnspecified() || l.hosts[from] != nil || mac == l.mac || slices.Contains(l.own, from) {
		return
	}
	if _, isNode := l.nodes[mac]; isNode {
		return
	}
	now := w.now()
	last := l.segment.admitted.Load()
	if last != 0 && now-time.Duration(last) < admission || !l.segment.admitted.CompareAndSwap(last, int64(now)) {
		return
	}
	w.admit(l.segment, from, mac, now)
}

// admit makes a host that asked one that is asked, if there is room.
func (w *Watcher) admit(s *segment, from netip.Addr, mac ownership.MAC, now time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.segments[s.name] != s || !s.usable || s.item.GetQuiet() || w.nodes.addresses[from.WithZone("")] || w.isNode(s, mac) ||
		slices.ContainsFunc(s.hosts(), func(h *host) bool { return h.address == from }) {
		return
	}
	if len(s.askers) >= maxAskers {
		i := slices.IndexFunc(s.askers, func(h *host) bool {
			return h.state == ingotv1.Answer_ANSWER_SILENT || now-time.Duration(h.heard.Load()) > forgets
		})
		if i < 0 {
			return
		}
		w.schedule.drop(s.askers[i])
		s.askers = slices.Delete(s.askers, i, i+1)
		w.mark(s)
	}
	h := newHost(s, from.WithZone(""), ingotv1.WitnessReport_SOURCE_ASKER)
	h.mac.Store(pack(mac))
	h.heard.Store(int64(now))
	h.due = now
	s.askers = append(s.askers, h)
	w.schedule.put(h)
	w.reindex()
	w.kick()
}

// outlived says whether a host that had asked for our addresses is of no use any more. w.mu is held.
func (w *Watcher) outlived(h *host, now time.Duration) bool {
	if h.source != ingotv1.WitnessReport_SOURCE_ASKER || h.state != ingotv1.Answer_ANSWER_SILENT {
		return false
	}
	return !h.ever || now-h.missing > outlives
}

// dismiss takes a host out that had asked for our addresses.
func (s *segment) dismiss(h *host) {
	s.askers = slices.DeleteFunc(s.askers, func(o *host) bool { return o == h })
}

// peerOf returns the node that a host is, nil if it is none.
func (s *segment) peerOf(h *host) *peer {
	if h.source != ingotv1.WitnessReport_SOURCE_UNSPECIFIED {
		return nil
	}
	for _, p := range s.peers {
		if p.host == h {
			return p
		}
	}
	return nil
}
