package service

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
)

// reservationBook is the IPReservations as last heard of. However they came to be missing, no Service loses an address.
type reservationBook struct {
	reservations map[string]*v1beta1.IPReservation
	changed      bool
}

func newReservationBook() *reservationBook {
	return &reservationBook{reservations: map[string]*v1beta1.IPReservation{}}
}

func (b *reservationBook) put(r *v1beta1.IPReservation) {
	old := b.reservations[r.Name]
	b.reservations[r.Name] = r
	b.changed = b.changed || old == nil || !equality.Semantic.DeepEqual(old.Spec, r.Spec)
}

func (b *reservationBook) remove(name string) {
	b.changed = b.changed || b.reservations[name] != nil
	delete(b.reservations, name)
}

func (b *reservationBook) replace(list []*v1beta1.IPReservation) {
	listed := map[string]bool{}
	for _, r := range list {
		listed[r.Name] = true
		b.put(r)
	}
	for name := range b.reservations {
		if !listed[name] {
			b.remove(name)
		}
	}
}

// take returns all reservations for the allocator. Items that cannot be read, which the rules of the API let not come
// to be, reserve nothing.
func (b *reservationBook) take() []ipam.Reservation {
	b.changed = false
	list := make([]ipam.Reservation, 0, len(b.reservations))
	for _, name := range slices.Sorted(maps.Keys(b.reservations)) {
		r := b.reservations[name]
		out := ipam.Reservation{Name: name, Namespace: r.Spec.Namespace, Service: r.Spec.Service, Reason: r.Spec.Reason}
		for _, text := range r.Spec.Addresses {
			if span, err := addrrange.ParseAny(text); err == nil {
				out.Ranges = append(out.Ranges, span)
			}
		}
		list = append(list, out)
	}
	return list
}

// reserve edits the book and has the reservations applied if that made a difference.
func (c *Controller) reserve(edit func(*reservationBook)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit(c.reservations)
	if c.synced && c.reservations.changed {
		c.queue.Add(applyPools)
	}
}

func (c *Controller) putReservation(r *v1beta1.IPReservation) {
	c.reserve(func(b *reservationBook) { b.put(r) })
}

func (c *Controller) removeReservation(r *v1beta1.IPReservation) {
	c.reserve(func(b *reservationBook) { b.remove(r.Name) })
}

func (c *Controller) replaceReservations(list []*v1beta1.IPReservation) {
	c.reserve(func(b *reservationBook) { b.replace(list) })
}

// refreshReservations gives the allocator the reservations as they are now, and tells the Services that hold what has
// become reserved for others. The caller holds mu.
func (c *Controller) refreshReservations() {
	if !c.reservations.changed {
		return
	}
	for _, stranger := range c.desk.ips.SetReservations(c.reservations.take()) {
		c.Log.Info("a service keeps an address that is reserved for others now", "event", "addressReserved",
			"service", stranger.Key, "ip", stranger.Err.Addr.String(), "reservation", stranger.Err.Reservation, "for", stranger.Err.For)
		if svc := c.services[stranger.Key]; svc != nil && c.synced {
			c.events.add(svc, note{corev1.EventTypeNormal, "AddressReserved",
				stranger.Err.Error() + " (this Service keeps it for as long as it wants it)"})
		}
	}
	c.retryPending()
}
