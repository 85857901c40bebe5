package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/network"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// nodes is how many nodes the lab must have.
const nodes = 3

// lanInterface is a node's interface on the lan.
const lanInterface = "eth1"

// site is the lab, as this package gets at it.
type site struct {
	dir    string
	kube   kubernetes.Interface
	places map[string]*netns.Namespace

	mu    sync.Mutex
	names map[MAC]string // who has a hardware address
}

// attach finds the lab in dir.
func attach(ctx context.Context, dir, kubeconfig string) (*site, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{} // that what is deleted was in use
	s := &site{dir: dir, places: make(map[string]*netns.Namespace), names: make(map[MAC]string)}
	if s.kube, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	var lab control.LabPlaces
	if err := control.Call(ctx, dir, control.Request{Verb: control.Places}, &lab); err != nil {
		return nil, err
	}
	names := []string{network.Switch, topology.Client, topology.Router}
	for i := 1; i <= nodes; i++ {
		names = append(names, topology.NodeName(i))
	}
	for _, name := range names {
		if s.places[name], err = netns.Attach(lab.PID, name); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	for i := 1; i <= nodes; i++ {
		link, err := s.places[topology.NodeName(i)].Handle().LinkByName(lanInterface)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s of %s: %w", lanInterface, topology.NodeName(i), err), s.close())
		}
		s.names[MAC(link.Attrs().HardwareAddr)] = topology.NodeName(i)
	}
	return s, nil
}

func (s *site) close() error {
	var errs []error
	for _, n := range s.places {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}

// name is who has a hardware address; that address, if nobody is known to have it.
func (s *site) name(m MAC) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.names[m]; ok {
		return name
	}
	return m.String()
}

// call has the lab do something.
func (s *site) call(ctx context.Context, verb, part string) error {
	return control.Call(ctx, s.dir, control.Request{Verb: verb, Part: part}, nil)
}

// cable cuts or heals a place's cable: to lan or mgmt, or to both.
func (s *site) cable(ctx context.Context, verb, place, link string) error {
	return control.Call(ctx, s.dir, control.Request{Verb: verb, Place: place, Link: link}, nil)
}

// run runs a program in the network of a place.
func (s *site) run(ctx context.Context, place string, stdin io.Reader, command ...string) error {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &out
	if err := s.places[place].Do(cmd.Run); err != nil {
		return fmt.Errorf("%s: %s: %w: %s", place, strings.Join(command, " "), err, out.String())
	}
	return nil
}

// filter drops what rules say, each of which is a chain of the family netdev, for as long as it is not undone.
func (s *site) filter(ctx context.Context, place string, chains ...string) error {
	return s.run(ctx, place, strings.NewReader("table netdev matrix {\n"+strings.Join(chains, "\n")+"\n}\n"), "nft", "-f", "-")
}

func (s *site) unfilter(ctx context.Context, place string) error {
	return s.run(ctx, place, nil, "nft", "delete", "table", "netdev", "matrix")
}

// chain is a chain of a filter.
func chain(hook, device, rule string) string {
	return fmt.Sprintf("chain %s-%s { type filter hook %s device %q priority 0; %s; }", hook, device, hook, device, rule)
}

// link is a node's link to the lan.
func (s *site) link(node, name string) (*netlink.Handle, netlink.Link, error) {
	h := s.places[node].Handle()
	l, err := h.LinkByName(name)
	if err != nil {
		return nil, nil, fmt.Errorf("%s of %s: %w", name, node, err)
	}
	return h, l, nil
}

// rename gives a node's interface another name.
func (s *site) rename(node, from, to string) error {
	h, l, err := s.link(node, from)
	if err != nil {
		return err
	}
	return h.LinkSetName(l, to)
}

// setMAC gives a node's link another hardware address, and returns the one that it had.
func (s *site) setMAC(node string, m MAC) (MAC, error) {
	h, l, err := s.link(node, lanInterface)
	if err != nil {
		return MAC{}, err
	}
	return MAC(l.Attrs().HardwareAddr), h.LinkSetHardwareAddr(l, m[:])
}

// macOf is the hardware address of a node's link.
func (s *site) macOf(node string) (MAC, error) {
	_, l, err := s.link(node, lanInterface)
	if err != nil {
		return MAC{}, err
	}
	return MAC(l.Attrs().HardwareAddr), nil
}

// renumber replaces the global addresses of a node's link, and returns what puts the old ones back with the routes that
// went with them.
func (s *site) renumber(node string, to ...netip.Prefix) (undo func() error, err error) {
	h, l, err := s.link(node, lanInterface)
	if err != nil {
		return nil, err
	}
	var routes []netlink.Route
	var old []netlink.Addr
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		r, err := h.RouteList(l, family)
		if err != nil {
			return nil, err
		}
		routes = append(routes, r...)
		a, err := h.AddrList(l, family)
		if err != nil {
			return nil, err
		}
		old = append(old, a...)
	}
	for i, a := range old {
		if a.IP.IsLinkLocalUnicast() {
			continue
		}
		if err := h.AddrDel(l, &old[i]); err != nil {
			return nil, err
		}
	}
	for _, a := range to {
		if err := h.AddrAdd(l, address(a)); err != nil {
			return nil, err
		}
	}
	return func() error {
		for _, a := range to {
			if err := h.AddrDel(l, address(a)); err != nil {
				return err
			}
		}
		for _, a := range old {
			prefix, ok := netip.AddrFromSlice(a.IP)
			ones, _ := a.Mask.Size()
			if !ok || prefix.IsLinkLocalUnicast() {
				continue
			}
			if err := h.AddrAdd(l, address(netip.PrefixFrom(prefix.Unmap(), ones))); err != nil {
				return err
			}
		}
		for _, r := range routes {
			if r.Gw == nil {
				continue
			}
			if err := h.RouteReplace(&netlink.Route{Dst: r.Dst, Gw: r.Gw, LinkIndex: l.Attrs().Index}); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
