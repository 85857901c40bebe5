package service

import (
	"errors"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/controller/ipam"
)

// reserve takes over the addresses that a Service shows, before anybody is served, so that nobody else gets them.
// Whether the Service may go on with them is for decide to say, and what could not be taken over as well.
func (d *desk) reserve(svc *corev1.Service) {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || !d.ofOurClass(svc) {
		return
	}
	req, _ := newRequest(svc) // unusable cluster IPs are reported by decide; the addresses are no less in use
	_, _ = d.takeOver(svc, req.facts)
}

// takeOver makes svc the holder of the addresses that its status shows. They are foreign where no pool has them, there
// are pools, and the annotation by which we mark ours is missing. What no pool allows is kept otherwise: nobody saw
// the pools change, and perhaps they are not all here. The error says who else holds them.
func (d *desk) takeOver(svc *corev1.Service, facts ipam.Service) (foreign bool, err error) {
	addrs := firstOfEach(ingressAddrs(svc)) // more are for decide to report
	if len(addrs) == 0 {
		return false, nil
	}
	_, err = d.ips.Adopt(facts, addrs)
	if !errors.Is(err, ipam.ErrNotAllowed) {
		return false, err
	}
	recorded, ours := svc.Annotations[allocatedFrom]
	ofPool := slices.ContainsFunc(addrs, func(addr netip.Addr) bool {
		_, ok := d.ips.OfPool(addr)
		return ok
	})
	if !ours && !ofPool && d.ips.HasPools() {
		return true, nil
	}
	cause := err
	if err = d.ips.Keep(facts, addrs, recorded); err == nil {
		d.log.Warn("keeping an address that no pool allows", "event", "assignmentKept", "service", facts.Key,
			"ip", texts(addrs), "pool", recorded, "error", cause)
	}
	return false, err
}

// adopt takes over what the status of a Service shows that is seen for the first time.
func (x *decision) adopt(svc *corev1.Service) {
	foreign, err := x.takeOver(svc, x.req.facts)
	switch {
	case err != nil:
		x.clearWithEvent(err)
	case foreign:
		x.log.Info("replacing addresses that are of no pool and not ours", "event", "clearAssignment",
			"reason", "foreign", "ip", texts(ingressAddrs(svc)))
	}
}
