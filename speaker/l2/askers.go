package l2

import (
	"cmp"
	"container/list"
	"net/netip"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/l2/frame"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

// maxAskers bounds how many hosts are remembered.
const maxAskers = 1024

// askers are the hosts that were heard asking for our addresses. The zero value is empty.
type askers struct {
	mu   sync.Mutex
	seen map[askerKey]*list.Element // of order, whose values are *asker
	// order has who was heard last at its front, so that nobody is looked for when one has to be forgotten: whoever floods
	// the link with requests from addresses that he made up has it done for each of them.
	order list.List
}

type askerKey struct {
	link    string
	address netip.Addr
}

type asker struct {
	askerKey
	mac  ownership.MAC
	last time.Time
}

// note remembers who sent a request. When the table is full, who was silent for longest is forgotten.
func (a *askers) note(link string, m frame.Message) {
	if m.Sender.IsUnspecified() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key, now := askerKey{link, m.Sender}, time.Now()
	if e := a.seen[key]; e != nil {
		known := e.Value.(*asker)
		known.mac, known.last = m.SenderMAC, now
		a.order.MoveToFront(e)
		return
	}
	if a.seen == nil {
		a.seen = make(map[askerKey]*list.Element)
	}
	if len(a.seen) >= maxAskers {
		oldest := a.order.Remove(a.order.Back()).(*asker)
		delete(a.seen, oldest.askerKey)
	}
	a.seen[key] = a.order.PushFront(&asker{key, m.SenderMAC, now})
}

// Neighbors returns the hosts heard asking for this node's addresses, by interface and address.
func (s *Speaker) Neighbors() []*ingotv1.Neighbor {
	s.askers.mu.Lock()
	defer s.askers.mu.Unlock()
	neighbors := make([]*ingotv1.Neighbor, 0, len(s.askers.seen))
	for e := s.askers.order.Front(); e != nil; e = e.Next() {
		a := e.Value.(*asker)
		neighbors = append(neighbors, &ingotv1.Neighbor{
			Interface: a.link, Address: a.address.String(), Mac: a.mac.String(), LastSeen: timestamppb.New(a.last),
		})
	}
	slices.SortFunc(neighbors, func(a, b *ingotv1.Neighbor) int {
		return cmp.Or(cmp.Compare(a.GetInterface(), b.GetInterface()), cmp.Compare(a.GetAddress(), b.GetAddress()))
	})
	return neighbors
}
