package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/ingot-lb/ingot/test/lab/frr"
	"github.com/ingot-lb/ingot/test/lab/part"
	"github.com/ingot-lb/ingot/test/lab/process"
	"github.com/ingot-lb/ingot/test/lab/standin"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

const (
	frrDir     = "/run/frr"     // FRR's own default, so that plain vtysh finds the daemons
	frrLibexec = "/usr/lib/frr" // where Debian has the daemons
)

// routerPart is FRR in the router's place. It keeps its configuration on the lab's own /run, where FRR's user may
// read it wherever the lab's directory is.
func (l *Lab) routerPart() error {
	if l.Router == "none" {
		return nil
	}
	owner, err := user.Lookup("frr")
	if err != nil {
		return fmt.Errorf("FRR is the router and is not installed: apt-get install frr, or lab up --router none (%w)", err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return fmt.Errorf("user frr: %w", err)
	}
	gid, err := strconv.Atoi(owner.Gid)
	if err != nil {
		return fmt.Errorf("user frr: %w", err)
	}
	if err := os.MkdirAll(frrDir, 0o755); err != nil {
		return err
	}
	if err := os.Chown(frrDir, uid, gid); err != nil {
		return err
	}
	in, err := l.network.Place(topology.Router)
	if err != nil {
		return err
	}
	router, err := l.topology.Place(topology.Router)
	if err != nil {
		return err
	}
	var lan []netip.Prefix
	for _, i := range router.Interfaces {
		if i.Network == topology.LAN {
			lan = i.Addresses
		}
	}
	p := &Part{name: part.Name{Kind: part.FRR}, place: topology.Router, probe: routerUp(in, frr.Daemons)}
	for _, daemon := range frr.Daemons {
		file := filepath.Join(frrDir, daemon+".conf")
		if err := os.WriteFile(file, []byte(frr.Config(daemon, lan[0].Addr(), lan)), 0o640); err != nil {
			return err
		}
		if err := os.Chown(file, uid, gid); err != nil {
			return err
		}
		p.command = append(p.command, process.Command{
			Path: filepath.Join(frrLibexec, daemon), In: in, Args: []string{"-f", file, "-P", "0", "--log", "stdout"},
		})
	}
	l.add(p)
	return nil
}

// webParts are the workload: on every node an HTTP server in a pod's place, with its Pod object.
func (l *Lab) webParts() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, node := range l.topology.Nodes() {
		in, err := l.network.Place(topology.PodName(node))
		if err != nil {
			return err
		}
		address := l.topology.PodAddresses(node)[0]
		l.addPod(&Part{
			name: part.Name{Kind: part.Web, Instance: node}, place: topology.PodName(node),
			probe:   answers(in, "http://"+address.String()+":8080/"),
			command: []process.Command{{Path: self, In: in, Args: []string{"web", node}}},
		}, standin.Pod{
			Namespace: "default", Name: "web-" + node, Node: node, ServiceAccount: "default",
			Labels:  map[string]string{"app": "web"},
			HostIPs: l.topology.Addresses(node, topology.Mgmt), IPs: l.topology.PodAddresses(node),
		})
	}
	return nil
}

// addPod adds a part that has a Pod object, which is made before the part's first start and follows it from then on.
func (l *Lab) addPod(p *Part, pod standin.Pod) {
	pod.Container = p
	p.pod = &pod
	p.changed = l.standins.Kick
	prepare := p.prepare
	p.prepare = func(ctx context.Context) error {
		if err := l.standins.Ensure(ctx, pod); err != nil {
			return err
		}
		if prepare == nil {
			return nil
		}
		return prepare(ctx)
	}
	l.add(p)
}

// checkPrograms says which program is missing, before anything is built.
func (o Options) checkPrograms() error {
	for _, name := range o.programs() {
		info, err := os.Stat(o.program(name))
		if err != nil || info.Mode()&0o111 == 0 {
			return fmt.Errorf("there is no program %s: run make build", o.program(name))
		}
	}
	return nil
}
