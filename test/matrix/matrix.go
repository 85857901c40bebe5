package matrix

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/test/lab/control"
)

const (
	nearName, nearHost = "near", 151
	farName, farHost   = "far", 152

	// Words of SpeakerState.
	connected = "Connected"
	heldDown  = "HeldDown"
)

// probed are the witnesses that the L2Advertisements name: the router.
var probed = []string{"192.168.222.1", "fd00:222::1"}

// Matrix is a lab with Services to measure.
type Matrix struct {
	*site
	build     string
	homes     map[string][]netip.Addr
	addresses []netip.Addr
	near      *prober
}

// Open gets the lab in dir, which must have three nodes and be well, ready for faults: it makes Services, pools and
// L2Advertisements. Build names the programs that run in it, in records.
func Open(ctx context.Context, dir, kubeconfig, build string) (*Matrix, error) {
	s, err := attach(ctx, dir, kubeconfig)
	if err != nil {
		return nil, err
	}
	m := &Matrix{site: s, build: build, homes: homes()}
	for _, node := range everyNode() {
		m.addresses = append(m.addresses, m.homes[node]...)
	}
	if err := m.open(ctx); err != nil {
		return nil, errors.Join(err, m.Close(context.WithoutCancel(ctx)))
	}
	return m, nil
}

func (m *Matrix) open(ctx context.Context) (err error) {
	if m.near, err = m.probe(ctx, nearName, nearHost); err != nil {
		return err
	}
	return publish(ctx, m.kube)
}

// Close deletes what Open has made.
func (m *Matrix) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	errs := []error{withdraw(ctx, m.kube)}
	if m.near != nil {
		errs = append(errs, m.near.close(), m.near.Close())
	}
	return errors.Join(append(errs, m.site.close())...)
}

// Settle waits until every part of the lab is well, and every address with its home, having moved it there if need be.
func (m *Matrix) Settle(ctx context.Context) error {
	if err := m.until(ctx, "all parts of the lab", m.well); err != nil {
		return err
	}
	if err := m.until(ctx, "SpeakerStates", m.trusted); err != nil {
		return err
	}
	if err := m.until(ctx, "all parts of the lab", m.well); err != nil {
		return err
	}
	m.near.begin(time.Now(), m.addresses)
	if err := wait(ctx, steady); err != nil {
		return err
	}
	for home := range m.homes {
		if m.atHome(home) == nil {
			continue
		}
		if err := m.retry(ctx, func() error { return allow(ctx, m.kube, home, only(home)) }); err != nil {
			return err
		}
	}
	for home := range m.homes {
		if err := m.until(ctx, "the addresses of "+home, func(context.Context) error { return m.atHome(home) }); err != nil {
			return err
		}
		if err := m.retry(ctx, func() error { return allow(ctx, m.kube, home, nil) }); err != nil {
			return err
		}
	}
	// What may move away again, if it were not sticky, is for Try to say.
	return m.until(ctx, "the speakers", m.watchful)
}

// trusted has the centre forget what it holds against nodes because of earlier faults, so that every fault meets the
// same cluster.
func (m *Matrix) trusted(ctx context.Context) error {
	all, err := states(ctx, m.kube)
	if err != nil {
		return err
	}
	for _, s := range all {
		for _, f := range s.Faults {
			if f.Reason == heldDown {
				return errors.Join(m.call(ctx, control.Kill, "apiserver/1"), m.call(ctx, control.Start, "apiserver/1"))
			}
		}
	}
	return nil
}

// watchful is nil if every speaker is connected, hears those whom it listens to, and has no fault.
func (m *Matrix) watchful(ctx context.Context) error {
	all, err := states(ctx, m.kube)
	if err != nil {
		return err
	}
	for _, node := range everyNode() {
		s := all[node]
		if s.State != connected || s.Layer2.Pending > 0 || len(s.Faults) > 0 {
			return fmt.Errorf("%s: %q, %d addresses pending, faults: %v", node, s.State, s.Layer2.Pending, s.Faults)
		}
		for _, segment := range s.Segments {
			for _, p := range segment.Peers {
				if p.BFDStatus != "" && p.BFDStatus != "up" || p.Answer == "Silent" {
					return fmt.Errorf("%s does not hear %s: %s, BFD %q", node, p.Node, p.Answer, p.BFDStatus)
				}
			}
			for _, w := range segment.Witnesses {
				if w.Answer == "Silent" && slices.Contains(probed, w.Address) {
					return fmt.Errorf("%s does not hear %s", node, w.Address)
				}
			}
		}
	}
	return nil
}

// atHome is nil if just one node answers for a home's addresses, and it is that.
func (m *Matrix) atHome(home string) error {
	r := m.near.recording()
	now := time.Since(r.began)
	for _, a := range m.homes[home] {
		if by := r.window(a, now-steady, now).By(); !slices.Equal(by, []string{home}) {
			return fmt.Errorf("%s is answered for by %v, want %s", a, by, home)
		}
	}
	return nil
}

// well is nil if every part of the lab is.
func (m *Matrix) well(ctx context.Context) error {
	var s control.LabStatus
	if err := control.Call(ctx, m.dir, control.Request{Verb: control.Status}, &s); err != nil {
		return err
	}
	var amiss []string
	for _, p := range s.Parts {
		if p.Health != "ok" {
			amiss = append(amiss, p.Name+": "+p.Health)
		}
	}
	for _, p := range s.Places {
		for _, link := range p.Cut {
			amiss = append(amiss, p.Name+": "+link+" is cut")
		}
	}
	if len(amiss) > 0 {
		return errors.New(strings.Join(amiss, "; "))
	}
	return nil
}

// until waits until check returns nil.
func (m *Matrix) until(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if wait(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}

// retry does something until it succeeds: a kube-apiserver that has just started does not yet do everything.
func (m *Matrix) retry(ctx context.Context, do func() error) error {
	return m.until(ctx, "the kube-apiserver", func(context.Context) error { return do() })
}

// wait lets time pass.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
