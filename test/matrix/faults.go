package matrix

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/network"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

const (
	// look is how long is looked at what a fault does, at least: longer than the 3 s after which the centre would
	// give up a node that nobody can say anything about.
	look = 4 * time.Second
	// lookAfter is how long is looked at what mending does, at least.
	lookAfter = 2 * time.Second
	// forgotten is after how long everybody has noticed that the apiserver is away.
	forgotten = 1500 * time.Millisecond
	// Loss is how long frames are lost for.
	Loss = 60 * time.Second
	// drainAnnotation takes a node out of service.
	drainAnnotation = "ingot.io/drain"
)

// Faults are all that are known. Loss lasts as long as given.
func Faults(loss time.Duration) []Fault {
	broken := func(name string, do func(context.Context, *scene) error) Fault {
		return Fault{Name: name, Kind: Unplanned, Steps: []Step{{Do: do, Hold: look, Right: leaves}, mended(anywhere)}}
	}
	still := func(f Fault) Fault {
		f.Still = true
		f.Steps[0].Right = stays
		f.Steps[len(f.Steps)-1].Right = stays
		return f
	}
	without := func(f Fault, part string) Fault {
		f.Name = part + " gone, then " + f.Name
		f.Steps = append([]Step{{Do: kill(part), Hold: forgotten, Right: stays}}, f.Steps...)
		// The part comes back before the node, which could not join without.
		f.Steps[len(f.Steps)-1].Do = func(ctx context.Context, s *scene) error {
			first := s.undo[0]
			s.undo = s.undo[1:]
			return errors.Join(first(ctx), s.undoAll(ctx))
		}
		return f
	}
	named := func(f Fault, reason string) Fault {
		f.Named = reason
		return f
	}
	sharing := broken("nodes with one MAC", oneMAC)
	sharing.Touches = func(victim, home string) bool { return home == victim || home == next(victim) }
	sharing.Steps[0].Right = func(victim, home string, _ bool) []string { return others(victim, next(victim)) }
	sharing.Steps[1].Right = func(victim, home string, _ bool) []string {
		if home == victim || home == next(victim) {
			return everyNode()
		}
		return []string{home}
	}
	return []Fault{
		broken("speaker killed", killSpeaker),
		broken("speaker frozen and resumed", freeze),
		broken("node off", nodeOff),
		named(broken("lan cut", cut(topology.LAN)), "LinkDown"),
		named(broken("lan cut behind the switch, or wrong VLAN", wrongVLAN), "Isolated"),
		named(broken("lan one-way: the node hears nothing", deaf), "OneWay"),
		named(broken("lan one-way: the node is not heard", mute), "OneWay"),
		still(broken("mgmt cut", cut(topology.Mgmt))),
		named(sharing, "SharedMAC"),
		still(Fault{Name: "foreign owner", Kind: Foreign, Steps: []Step{{Do: foreign, Hold: look}, mended(stays)}}),
		named(broken("witness silent to one node", deafWitness), "WitnessSilent"),
		named(broken("wrong subnet", wrongSubnet), "NoLink"),
		still(broken("interface renamed", rename)),
		without(broken("node off", nodeOff), "apiserver/1"),
		without(broken("node off", nodeOff), "kube-apiserver"),
		{
			Name: "segment split and healed, apiserver/1 gone", Kind: Unplanned, Far: true,
			Touches: always,
			Steps: []Step{
				{Do: kill("apiserver/1"), Hold: forgotten, Right: stays},
				{Do: split, Hold: look, Right: func(victim, home string, far bool) []string {
					if far {
						return []string{victim}
					}
					return leaves(victim, home, far)
				}},
				{Do: join, Hold: look, Right: func(_, _ string, _ bool) []string { return everyNode() }},
				mended(func(_, _ string, _ bool) []string { return everyNode() }),
			},
		},
		still(Fault{
			Name: fmt.Sprintf("20%% loss for %v", loss), Kind: Lossy, Touches: always,
			Steps: []Step{{Do: lose(20), Hold: loss}, mended(stays)},
		}),
		{Name: "drain", Kind: Planned, Steps: []Step{
			{Do: drain, Hold: look, Right: leaves},
			{Row: "drain undone", Kind: Planned, Do: join, Hold: lookAfter, Right: anywhere},
		}},
		{Name: "speaker stopped", Kind: Planned, Steps: []Step{
			{Do: stopSpeaker, Hold: look, Right: leaves},
			{Row: "speaker started", Kind: Planned, Do: join, Hold: lookAfter, Right: anywhere},
		}},
	}
}

// mended is the last step: everything is undone.
func mended(right func(victim, home string, far bool) []string) Step {
	return Step{Do: func(ctx context.Context, s *scene) error { return s.undoAll(ctx) }, Hold: lookAfter, Right: right}
}

// join undoes what was done last.
func join(ctx context.Context, s *scene) error { return s.undoLast(ctx) }

// kill ends a part of the lab; it is started again.
func kill(part string) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		s.later(func(ctx context.Context) error { return s.call(ctx, control.Start, part) })
		return s.call(ctx, control.Kill, part)
	}
}

func killSpeaker(ctx context.Context, s *scene) error { return kill("speaker/"+s.victim)(ctx, s) }

func stopSpeaker(ctx context.Context, s *scene) error {
	part := "speaker/" + s.victim
	s.later(func(ctx context.Context) error { return s.call(ctx, control.Start, part) })
	return s.call(ctx, control.Stop, part)
}

func freeze(ctx context.Context, s *scene) error {
	part := "speaker/" + s.victim
	s.later(func(ctx context.Context) error { return s.call(ctx, control.Resume, part) })
	return s.call(ctx, control.Pause, part)
}

// cut pulls the victim's cable to one network, at the switch.
func cut(link string) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		s.later(func(ctx context.Context) error { return s.cable(ctx, control.Heal, s.victim, link) })
		return s.cable(ctx, control.Cut, s.victim, link)
	}
}

// nodeOff takes both cables, as when the power goes, and ends everything that runs on the node.
func nodeOff(ctx context.Context, s *scene) error {
	for _, part := range []string{"speaker/", "kube-proxy/", "web/"} {
		s.later(func(ctx context.Context) error { return s.call(ctx, control.Start, part+s.victim) })
	}
	s.later(func(ctx context.Context) error { return s.cable(ctx, control.Heal, s.victim, "") })
	if err := s.cable(ctx, control.Cut, s.victim, ""); err != nil {
		return err
	}
	for _, part := range []string{"speaker/", "kube-proxy/", "web/"} {
		if err := s.call(ctx, control.Kill, part+s.victim); err != nil {
			return err
		}
	}
	return nil
}

func (s *scene) filtered(ctx context.Context, place string, chains ...string) error {
	s.later(func(ctx context.Context) error { return s.unfilter(ctx, place) })
	return s.filter(ctx, place, chains...)
}

// deaf has the victim hear nothing on the lan, while what it sends arrives.
func deaf(ctx context.Context, s *scene) error {
	return s.filtered(ctx, s.victim, chain("ingress", lanInterface, "drop"))
}

// mute has nothing arrive that the victim sends to the lan, while it hears all.
func mute(ctx context.Context, s *scene) error {
	return s.filtered(ctx, network.Switch, chain("ingress", topology.PortName(topology.LAN, s.victim), "drop"))
}

// deafWitness has the router, the witness that the L2Advertisements name, not hear the victim.
func deafWitness(ctx context.Context, s *scene) error {
	m, err := s.macOf(s.victim)
	if err != nil {
		return err
	}
	return s.filtered(ctx, topology.Router, chain("ingress", "eth0", "ether saddr "+m.String()+" drop"))
}

// oneMAC gives the victim the hardware address of the next node, as clones of one virtual machine have it.
func oneMAC(_ context.Context, s *scene) error {
	shared, err := s.macOf(next(s.victim))
	if err != nil {
		return err
	}
	old, err := s.setMAC(s.victim, shared)
	if err != nil {
		return err
	}
	s.later(func(context.Context) error { _, err := s.setMAC(s.victim, old); return err })
	return nil
}

// foreign is another host that gets the victim's addresses, and says so once, as hosts do.
func foreign(_ context.Context, s *scene) error {
	h, err := plug(s.places[network.Switch], "foreign", netip.MustParsePrefix("192.168.222.153/24"), netip.MustParsePrefix("fd00:222::153/64"))
	if err != nil {
		return err
	}
	s.later(func(context.Context) error { return h.Close() })
	s.mu.Lock()
	s.names[h.mac] = "foreign"
	s.mu.Unlock()
	for _, a := range homes()[s.victim] {
		if err := h.add(netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
		etherType := etherARP
		if a.Is6() {
			etherType = etherIPv6
		}
		c, err := h.listen(etherType)
		if err != nil {
			return err
		}
		_, err = c.WriteTo(gratuitous(h.mac, a), &packet.Addr{HardwareAddr: everybody[:]})
		if err := c.Close(); err != nil {
			return err
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wrongSubnet gives the victim addresses of another network on the lan.
func wrongSubnet(_ context.Context, s *scene) error {
	back, err := s.renumber(s.victim, netip.MustParsePrefix("192.168.99.11/24"), netip.MustParsePrefix("fd00:99::11/64"))
	if err != nil {
		return err
	}
	s.later(func(context.Context) error { return back() })
	return nil
}

func rename(_ context.Context, s *scene) error {
	const other = "lan7"
	s.later(func(context.Context) error { return s.site.rename(s.victim, other, lanInterface) })
	return s.site.rename(s.victim, lanInterface, other)
}

// split moves the victim, the router and the far prober to a switch of their own.
func split(_ context.Context, s *scene) error {
	return s.apart(s.victim, topology.Router, farName)
}

// wrongVLAN has the victim alone on its switch: its link is up, and nobody else is there.
func wrongVLAN(_ context.Context, s *scene) error { return s.apart(s.victim) }

// apart moves hosts to a switch of their own.
func (s *scene) apart(places ...string) error {
	h := s.places[network.Switch].Handle()
	lan, err := h.LinkByName(topology.LAN)
	if err != nil {
		return err
	}
	snooping := false
	other := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "lan-split"}, MulticastSnooping: &snooping}
	if err := h.LinkAdd(other); err != nil {
		return err
	}
	var moved []netlink.Link
	s.later(func(context.Context) error {
		for _, port := range moved {
			if err := h.LinkSetMaster(port, lan); err != nil {
				return err
			}
		}
		return h.LinkDel(other)
	})
	if err := h.LinkSetUp(other); err != nil {
		return err
	}
	for _, place := range places {
		port, err := h.LinkByName(topology.PortName(topology.LAN, place))
		if err != nil {
			return err
		}
		if err := h.LinkSetMaster(port, other); err != nil {
			return err
		}
		moved = append(moved, port)
	}
	return nil
}

// lose has every port of the lan lose some percent of the frames that leave it, at random.
func lose(percent int) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		links, err := s.places[network.Switch].Handle().LinkList()
		if err != nil {
			return err
		}
		var chains []string
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, topology.PortName(topology.LAN, "")) {
				chains = append(chains, chain("egress", l.Attrs().Name, fmt.Sprintf("numgen random mod 100 < %d drop", percent)))
			}
		}
		return s.filtered(ctx, network.Switch, chains...)
	}
}

func drain(ctx context.Context, s *scene) error {
	s.later(func(ctx context.Context) error { return annotate(ctx, s.kube, s.victim, drainAnnotation, nil) })
	return annotate(ctx, s.kube, s.victim, drainAnnotation, "true")
}
