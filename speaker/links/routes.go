package links

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// Bounds of what is told of one link's routes: a node may have a route for each Pod, or the whole Internet's.
const (
	maxOnLink   = 64
	maxNextHops = 16
)

// ways are the routes over one link.
type ways struct {
	onLink   map[netip.Prefix]struct{}
	nextHops map[netip.Addr]bool // whether it is a default route's
}

// addRoutes fills in OnLink and NextHops.
func addRoutes(all map[int]*Link) error {
	byLink := make(map[int]*ways)
	of := func(index int) *ways {
		w := byLink[index]
		if w == nil {
			w = &ways{onLink: map[netip.Prefix]struct{}{}, nextHops: map[netip.Addr]bool{}}
			byLink[index] = w
		}
		return w
	}
	for _, family := range [...]int{unix.AF_INET, unix.AF_INET6} {
		// Unicast routes of the main table alone.
		_, err := whole(func() ([]struct{}, error) {
			return nil, netlink.RouteListFilteredIter(family, &netlink.Route{Type: unix.RTN_UNICAST}, netlink.RT_FILTER_TYPE,
				func(r netlink.Route) bool {
					addRoute(of, r, family)
					return true
				})
		})
		if err != nil {
			return fmt.Errorf("list routes: %w", err)
		}
	}
	for index, w := range byLink {
		if l := all[index]; l != nil {
			l.OnLink, l.NextHops = w.beyond(l.Addresses), w.gateways()
		}
	}
	return nil
}

// addRoute notes what a route says of the links that it leads over.
func addRoute(of func(int) *ways, r netlink.Route, family int) {
	dst := prefixOf(r.Dst)
	if !dst.IsValid() {
		dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if family == unix.AF_INET6 {
			dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	}
	hop := func(index int, gateway []byte, via netlink.Destination) {
		if v, ok := via.(*netlink.Via); ok && len(gateway) == 0 { // a gateway of the other family: RFC 5549
			gateway = v.Addr
		}
		w := of(index)
		if a, ok := netip.AddrFromSlice(gateway); ok && !a.IsUnspecified() {
			if a = a.Unmap(); w.nextHops[a] || dst.Bits() == 0 {
				w.nextHops[a] = true
			} else {
				w.nextHops[a] = false
			}
			return
		}
		// Those that the kernel made go with an address, and are known by it.
		if r.Protocol != unix.RTPROT_KERNEL && !dst.Addr().IsMulticast() {
			w.onLink[dst.Masked()] = struct{}{}
		}
	}
	if len(r.MultiPath) == 0 {
		hop(r.LinkIndex, r.Gw, r.Via)
	}
	for _, n := range r.MultiPath {
		hop(n.LinkIndex, n.Gw, n.Via)
	}
}

// beyond returns the destinations that lie in none of the prefixes, the widest ones if there are too many.
func (w *ways) beyond(addresses []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for p := range w.onLink {
		within := func(a netip.Prefix) bool { return a.Bits() <= p.Bits() && a.Contains(p.Addr()) }
		if !slices.ContainsFunc(addresses, within) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int { return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), comparePrefixes(a, b)) })
	return out[:min(len(out), maxOnLink)]
}

// gateways returns the next hops, those of default routes first.
func (w *ways) gateways() []netip.Addr {
	var out []netip.Addr
	for a := range w.nextHops {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b netip.Addr) int {
		if w.nextHops[a] != w.nextHops[b] {
			if w.nextHops[a] {
				return -1
			}
			return 1
		}
		return a.Compare(b)
	})
	return out[:min(len(out), maxNextHops)]
}

// WatchRoutes calls changed whenever routes of the main table changed, until ctx ends, settle after the first change. A routing
// daemon may change them all the time, and a node may have as many as the Internet: where changes go on, the time between
// calls doubles, up to half a minute. It goes on by itself where Watch would have to begin anew, so that many routes do not
// hide that a link went down.
func WatchRoutes(ctx context.Context, log *slog.Logger, settle time.Duration, changed func()) {
	keep(ctx, log, "routes", func(ctx context.Context) error { return watchRoutesOnce(ctx, settle, changed) })
}

func watchRoutesOnce(ctx context.Context, settle time.Duration, changed func()) error {
	done := make(chan struct{})
	defer close(done)
	failed := make(chan error, 1)
	routes := make(chan netlink.RouteUpdate, 64)
	err := netlink.RouteSubscribeWithOptions(routes, done, netlink.RouteSubscribeOptions{ErrorCallback: first(failed)})
	if err != nil {
		return fmt.Errorf("subscribe to routes: %w", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	pending := true
	p := patience{least: settle}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case u, ok := <-routes:
			if !ok {
				return errors.New("the route subscription ended")
			}
			if !pending && u.Table == unix.RT_TABLE_MAIN && u.Route.Type == unix.RTN_UNICAST {
				pending = true
				timer.Reset(p.wait(time.Now()))
			}
		case <-timer.C:
			if ctx.Err() != nil {
				return nil
			}
			pending = false
			changed()
			p.last = time.Now()
		}
	}
}

// patience is how long changes are gathered: the longer, the longer they go on.
type patience struct {
	least, now time.Duration
	// last is when they were looked at.
	last time.Time
}

// wait returns how long a first change is held for others.
func (p *patience) wait(now time.Time) time.Duration {
	if p.now == 0 || now.Sub(p.last) > 2*p.now {
		p.now = p.least
	} else {
		p.now = min(2*p.now, longest)
	}
	return p.now
}

// keep watches again and again until ctx ends.
func keep(ctx context.Context, log *slog.Logger, what string, once func(context.Context) error) {
	retry := backoff.Backoff{First: time.Second, Most: longest}
	for {
		started := time.Now()
		err := once(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(started) > longest {
			retry.Reset()
		}
		wait := retry.Next()
		log.Warn("lost sight of "+what+"; trying again", "op", "watchLinks", "error", err, "wait", wait.String())
		if backoff.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// first returns a function that keeps the first failure; it is enough.
func first(failed chan<- error) func(error) {
	return func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
}
