package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/netns"
	"github.com/ingot-lb/ingot/test/lab/network"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

// handle answers one request of `lab`.
func (l *Lab) handle(ctx context.Context, r control.Request) (any, error) {
	operations := map[string]func(unit, context.Context) error{
		control.Kill: unit.Kill, control.Start: l.startUnit, control.Pause: unit.Pause, control.Resume: unit.Resume,
		control.Stop: func(u unit, ctx context.Context) error {
			if p, ok := u.(*Part); ok {
				return p.stopRunning(ctx)
			}
			return u.Stop(ctx)
		},
	}
	if operation, ok := operations[r.Verb]; ok {
		p, err := l.unit(r.Part)
		if err != nil {
			return nil, err
		}
		return nil, operation(p, ctx)
	}
	switch r.Verb {
	case control.Status:
		return l.status(ctx)
	case control.Places:
		names := append(l.topology.Names(), network.Switch)
		pods, err := os.ReadDir(netns.Dir)
		for _, pod := range pods {
			if strings.HasPrefix(pod.Name(), podPlace) && !slices.Contains(names, pod.Name()) {
				names = append(names, pod.Name())
			}
		}
		return control.LabPlaces{PID: l.host.self, Names: names, KubeConfig: l.file("kubeconfig.inside")}, err
	case control.Cut:
		return nil, l.network.Cut(r.Place, r.Link)
	case control.Heal:
		return nil, l.network.Heal(r.Place, r.Link)
	case control.Token:
		return l.token(ctx, r)
	}
	return nil, fmt.Errorf("the lab does not know %q: is its bin/lab of another version?", r.Verb)
}

// stopRunning is Stop for users, whom it tells that there was nothing to stop.
func (p *Part) stopRunning(ctx context.Context) error {
	if len(p.live()) == 0 {
		return p.notRunning()
	}
	return p.Stop(ctx)
}

func (l *Lab) status(ctx context.Context) (control.LabStatus, error) {
	s := control.LabStatus{Dir: l.Dir, KubeConfig: KubeConfig(l.Dir), PID: l.host.self, Ready: true}
	outer, err := l.host.translate()
	if err != nil {
		return s, err
	}
	units := l.units()
	s.Parts = make([]control.Part, len(units))
	var probes sync.WaitGroup
	for i, p := range units {
		probes.Go(func() { s.Parts[i] = p.report(ctx, outer) })
	}
	probes.Wait()
	for _, p := range s.Parts {
		s.Ready = s.Ready && p.Health == "ok"
	}
	for _, place := range l.topology.Places {
		host := control.Host{Name: place.Name, Addresses: map[string][]string{}}
		for _, i := range place.Interfaces {
			for _, a := range i.Addresses {
				host.Addresses[i.Network] = append(host.Addresses[i.Network], a.Addr().String())
			}
		}
		for _, link := range place.Links() {
			cut, err := l.network.IsCut(place.Name, link)
			if err != nil {
				return s, err
			}
			if cut {
				host.Cut = append(host.Cut, link)
				s.Ready = false
			}
		}
		s.Places = append(s.Places, host)
	}
	return s, nil
}

// report is the part's line of the status.
func (p *Part) report(ctx context.Context, outer map[int]int) control.Part {
	state, reason := p.State()
	r := control.Part{Name: p.name.String(), Place: p.place, State: state, Health: reason, Log: p.log}
	for _, process := range p.live() {
		r.PIDs = append(r.PIDs, outer[process.PID()])
	}
	if state == control.Running {
		r.Health = "ok"
		if err := p.Ready(ctx); err != nil {
			r.Health = err.Error()
		}
	}
	return r
}

// forward lets the host reach the kube-apiserver: the listener is of the host's network, the connections go on from
// the control place.
func (l *Lab) forward(ctx context.Context, listener net.Listener) {
	for {
		outside, err := listener.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer outside.Close()
			if err := l.splice(ctx, outside); err != nil {
				l.log.Debug("forwarding to the kube-apiserver", "error", err)
			}
		}()
	}
}

func (l *Lab) splice(ctx context.Context, outside net.Conn) error {
	place, err := l.network.Place(topology.Control)
	if err != nil {
		return err
	}
	dialing, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	inside, err := place.DialContext(dialing, "tcp", l.address())
	if err != nil {
		return err
	}
	defer inside.Close()
	ended := make(chan error, 2)
	oneWay := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if half, ok := to.(*net.TCPConn); ok && err == nil {
			err = half.CloseWrite()
		}
		ended <- err
	}
	go oneWay(inside, outside)
	go oneWay(outside, inside)
	for range 2 {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}
