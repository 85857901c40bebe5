package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
	"github.com/ingot-lb/ingot/test/lab/kubelet/probe"
)

// resume takes up the Pod in a Run, which may be a later one than started its containers.
func (p *pod) resume(ctx context.Context) {
	p.ctx = ctx
	object, _ := p.current()
	for i := range object.Spec.Containers {
		c := &object.Spec.Containers[i]
		p.mu.Lock()
		running := p.instance(c.Name).running
		p.mu.Unlock()
		if running {
			p.ask(object, c)
		}
	}
}

// ask has a container's probes asked for as long as it runs: liveness and readiness once it is started.
func (p *pod) ask(object *corev1.Pod, c *corev1.Container) {
	ctx, cancel := context.WithCancel(p.ctx)
	p.mu.Lock()
	i := p.instance(c.Name)
	if i.unasked != nil {
		i.unasked()
	}
	i.unasked = cancel
	started, pid := i.started, i.process.PID()
	p.mu.Unlock()
	target := p.target(c, pid)
	if started {
		p.askStarted(ctx, c, target)
		return
	}
	startup, stop := context.WithCancel(ctx)
	go probe.Run(startup, c.StartupProbe, probe.Unknown, p.asker(target, c.StartupProbe), func(a probe.Answer) {
		p.unhealthy(c, "Startup", a)
		if !a.Changed {
			return
		}
		p.mu.Lock()
		i.started = a.Result == probe.Success
		i.ready = i.started && c.ReadinessProbe == nil
		i.healthy = i.started
		p.mu.Unlock()
		stop()
		if a.Result == probe.Success {
			p.askStarted(ctx, c, target)
		}
		p.kick()
	})
}

func (p *pod) askStarted(ctx context.Context, c *corev1.Container, target probe.Target) {
	follow := func(kind string, spec *corev1.Probe, initial probe.Result, set func(i *instance, ok bool)) {
		if spec == nil {
			return
		}
		go probe.Run(ctx, spec, initial, p.asker(target, spec), func(a probe.Answer) {
			p.unhealthy(c, kind, a)
			if !a.Changed {
				return
			}
			p.mu.Lock()
			if ctx.Err() == nil {
				set(p.instance(c.Name), a.Result == probe.Success)
			}
			p.mu.Unlock()
			p.kick()
		})
	}
	p.mu.Lock()
	ready := probe.Failure
	if p.instance(c.Name).ready {
		ready = probe.Success
	}
	p.mu.Unlock()
	follow("Liveness", c.LivenessProbe, probe.Success, func(i *instance, ok bool) { i.healthy = ok })
	follow("Readiness", c.ReadinessProbe, ready, func(i *instance, ok bool) { i.ready = ok })
}

func (p *pod) asker(target probe.Target, spec *corev1.Probe) func(context.Context) error {
	return func(ctx context.Context) error { return target.Ask(ctx, spec) }
}

func (p *pod) unhealthy(c *corev1.Container, kind string, a probe.Answer) {
	if a.Err != nil {
		p.event(corev1.EventTypeWarning, c.Name, "Unhealthy", "%s probe failed: %v", kind, a.Err)
	}
}

// target is a container for those who ask it.
func (p *pod) target(c *corev1.Container, pid int) probe.Target {
	t := probe.Target{Ports: c.Ports, Dial: p.k.dial}
	if addresses := p.sandboxAddresses(); len(addresses) > 0 {
		t.Host = addresses[0].String()
	}
	t.Exec = func(ctx context.Context, command []string) error {
		p.mu.Lock()
		as := p.instance(c.Name).as
		p.mu.Unlock()
		as.Args = command
		var out bytes.Buffer
		status, err := p.k.runtime.Run(ctx, pid, as, container.IO{Out: &out, Err: &out})
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("command timed out: %q", strings.Join(command, " "))
		case err != nil:
			return err
		case status != 0:
			return errors.New(strings.TrimSpace(out.String()))
		}
		return nil
	}
	return t
}

// preStop does what a container wants done before it is asked to end.
func (p *pod) preStop(ctx context.Context, c *corev1.Container) error {
	hook := c.Lifecycle.PreStop
	if hook.Sleep != nil {
		timer := time.NewTimer(time.Duration(hook.Sleep.Seconds) * time.Second)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		return nil
	}
	p.mu.Lock()
	pid := p.instance(c.Name).process.PID()
	p.mu.Unlock()
	return p.target(c, pid).Do(ctx, corev1.ProbeHandler{Exec: hook.Exec, HTTPGet: hook.HTTPGet, TCPSocket: hook.TCPSocket})
}

// dial connects from the node.
func (k *Kubelet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if k.Network == nil {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return k.Network.DialContext(ctx, network, address)
}

func (p *pod) sandboxAddresses() []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.k.addressesOf(p.sandbox)
}
