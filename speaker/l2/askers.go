package l2

import (
	"cmp"
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
	seen map[askerKey]asker
}

type askerKey struct {
	link    string
	address netip.Addr
}

type asker struct {
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
	if a.seen == nil {
		a.seen = make(map[askerKey]asker)
	}
	key := askerKey{link, m.Sender}
	if _, known := a.seen[key]; !known && len(a.seen) >= maxAskers {
		var oldest askerKey
		for k, v := range a.seen {
			if o, ok := a.seen[oldest]; !ok || v.last.Before(o.last) {
				oldest = k
			}
		}
		delete(a.seen, oldest)
	}
	a.seen[key] = asker{m.SenderMAC, time.Now()}
}

// Neighbors returns the hosts heard asking for this node's addresses, by interface and address.
func (s *Speaker) Neighbors() []*ingotv1.Neighbor {
	s.askers.mu.Lock()
	defer s.askers.mu.Unlock()
	neighbors := make([]*ingotv1.Neighbor, 0, len(s.askers.seen))
	for key, a := range s.askers.seen {
		neighbors = append(neighbors, &ingotv1.Neighbor{
			Interface: key.link, Address: key.address.String(), Mac: a.mac.String(), LastSeen: timestamppb.New(a.last),
		})
	}
	slices.SortFunc(neighbors, func(a, b *ingotv1.Neighbor) int {
		return cmp.Or(cmp.Compare(a.GetInterface(), b.GetInterface()), cmp.Compare(a.GetAddress(), b.GetAddress()))
	})
	return neighbors
}
