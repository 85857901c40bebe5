package ipam

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ErrNotAllowed marks errors that say that the pools do not allow an assignment, as opposed to other holders.
var ErrNotAllowed = errors.New("not allowed by the pools")

// notAllowed carries ErrNotAllowed without adding to the message, which users know from MetalLB.
type notAllowed struct{ message string }

func (e *notAllowed) Error() string        { return e.message }
func (e *notAllowed) Is(target error) bool { return target == ErrNotAllowed }

// Assign makes s hold exactly addrs, in place of what it held: addresses it asked for, or has already. All must be
// of one pool that admits s, and may be shared with their other holders. On error s holds what it held before.
func (a *Allocator) Assign(s Service, addrs []netip.Addr) (Assignment, error) {
	addrs = inOrder(addrs)
	p, err := a.allowed(s, addrs)
	if err != nil {
		return Assignment{}, err
	}
	if err := a.sharable(s, addrs); err != nil {
		return Assignment{}, err
	}
	as := Assignment{Addrs: addrs, Pool: p.Name}
	a.hold(s, as)
	return as, nil
}

// Keep makes s hold exactly addrs although no pool need allow it: they were of the named pool when that was last
// known. The rules of sharing hold all the same. On error s holds what it held before.
func (a *Allocator) Keep(s Service, addrs []netip.Addr, pool string) error {
	addrs = inOrder(addrs)
	if err := a.sharable(s, addrs); err != nil {
		return err
	}
	a.hold(s, Assignment{Addrs: addrs, Pool: pool, Kept: true})
	return nil
}

// OfPool names the pool that has addr; none where no pool does, or avoids it.
func (a *Allocator) OfPool(addr netip.Addr) (name string, ok bool) {
	b := a.blockOf(addr)
	if b == nil {
		return "", false
	}
	return b.pool.Name, true
}

// allowed returns the one pool of all addresses if it admits s. The error is a notAllowed.
func (a *Allocator) allowed(s Service, addrs []netip.Addr) (*pool, error) {
	var p *pool
	for _, addr := range addrs {
		b := a.blockOf(addr)
		if b == nil || p != nil && b.pool != p {
			return nil, &notAllowed{fmt.Sprintf("%s is not allowed in config", Quoted(addrs))}
		}
		p = b.pool
	}
	if p == nil {
		return nil, &notAllowed{"no addresses"}
	}
	if !p.admits(s) {
		return nil, &notAllowed{fmt.Sprintf("pool %s not compatible for ip assignment", p.Name)}
	}
	return p, nil
}

// blockOf finds the block that may give addr away, nil if there is none.
func (a *Allocator) blockOf(addr netip.Addr) *block {
	i, found := slices.BinarySearchFunc(a.blocks, addr, func(b *block, addr netip.Addr) int {
		return b.span.First().Compare(addr)
	})
	if !found {
		i-- // the last one that begins before addr
	}
	if i < 0 || !a.blocks[i].usable(addr) {
		return nil
	}
	return a.blocks[i]
}

// sharable checks s against the other holders of the addresses.
func (a *Allocator) sharable(s Service, addrs []netip.Addr) error {
	for _, addr := range addrs {
		if err := a.sharableAt(s, addr); err != nil {
			return err
		}
	}
	return nil
}

func (a *Allocator) sharableAt(s Service, addr netip.Addr) error {
	sl := a.slots[addr]
	if sl == nil {
		return nil
	}
	var strangers []string
	for _, h := range sl.holders {
		o := &h.service
		if o.Key != s.Key && (s.SharingKey == "" || o.SharingKey != s.SharingKey || o.BackendKey != s.BackendKey) {
			strangers = append(strangers, o.Key)
		}
	}
	if len(strangers) > 0 {
		slices.Sort(strangers)
		return fmt.Errorf("can't change sharing key for %q, address also in use by %s", s.Key, strings.Join(strangers, ","))
	}
	if port, clash := portClash(s, sl); clash {
		return fmt.Errorf("port %s/%d is already in use on %q", port.Protocol, port.Number, addr)
	}
	return nil
}

// portClash finds a port of s that another holder has.
func portClash(s Service, sl *slot) (Port, bool) {
	for _, h := range sl.holders {
		if h.service.Key == s.Key {
			continue
		}
		for _, port := range s.Ports {
			if slices.Contains(h.service.Ports, port) {
				return port, true
			}
		}
	}
	return Port{}, false
}

// inOrder is the addresses in a canonical form: IPv4 first, no IPv4-mapped ones.
func inOrder(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		out[i] = addr.Unmap()
	}
	slices.SortFunc(out, func(x, y netip.Addr) int { return cmp.Compare(FamilyOf(x), FamilyOf(y)) })
	return out
}

// Quoted writes addresses as MetalLB's messages do: ["192.0.2.1" "2001:db8::1"].
func Quoted(addrs []netip.Addr) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, addr := range addrs {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%q", addr.String())
	}
	b.WriteByte(']')
	return b.String()
}
