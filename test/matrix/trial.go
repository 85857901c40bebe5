package matrix

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/test/lab/network"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

const (
	steady  = 500 * time.Millisecond // for how long all must be well to count as settled
	flight  = 100 * time.Millisecond // for how long an answer may be on its way
	patient = 12 * time.Second       // how long is waited for what should have settled, beyond a step's Hold
	atMost  = 2 * time.Minute        // bounds every wait that is not measured
)

// trial is one run of one fault.
type trial struct {
	*Matrix
	fault   Fault
	scene   *scene
	began   time.Time
	client  *requests
	probers []*prober // the second is on the far side
	steps   []passed
}

// passed is a step that was taken, and from when until when its effect was seen.
type passed struct {
	Step
	from, to  time.Duration
	wrong     []string
	unsettled []string
}

// Try breaks what the fault breaks on a node, mends it, and says what was seen: a record for each row. Whatever happens,
// all is undone.
func (m *Matrix) Try(ctx context.Context, f Fault, victim string) (records []Record, err error) {
	t := &trial{Matrix: m, fault: f, scene: &scene{site: m.site, victim: victim}, probers: []*prober{m.near}}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), atMost)
		defer cancel()
		err = errors.Join(err, t.scene.undoAll(last))
	}()
	if f.Far {
		far, err := m.probe(ctx, farName, farHost)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, far.close(), far.Close()) }()
		t.probers = append(t.probers, far)
	}
	started := time.Now()
	t.began = started
	for _, p := range t.probers {
		p.begin(t.began, m.addresses)
	}
	if t.client, err = request(ctx, m.places[topology.Client], t.began, m.addresses); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.client.close()) }()
	if err := t.pass(ctx, Step{Hold: steady, Right: stays}); err != nil {
		return nil, err
	}
	if before := t.steps[0]; len(before.unsettled)+len(before.wrong) > 0 {
		return nil, fmt.Errorf("%s: all was not well before: %s", f.Name, strings.Join(append(before.unsettled, before.wrong...), "; "))
	}
	t.steps = nil
	var named []string
	for i, s := range f.Steps {
		if err := t.pass(ctx, s); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if i == 0 && f.Named != "" {
			if named, err = t.named(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	if err := wait(ctx, flight); err != nil {
		return nil, err
	}
	for i := 0; i < len(t.steps); {
		j := i + 1
		for j < len(t.steps) && t.steps[j].Row == "" {
			j++
		}
		r := t.record(t.steps[i:j])
		r.Started, r.Build, r.Load, r.Named = started, m.build, load(), named
		if i == 0 && f.Named != "" && !t.isNamed(named) {
			r.Unnamed = f.Named
		}
		records = append(records, r)
		i = j
	}
	return records, nil
}

// pass takes a step and looks at what it does until it has settled.
func (t *trial) pass(ctx context.Context, s Step) error {
	p := passed{Step: s, from: time.Since(t.began)}
	if s.Do != nil {
		if err := s.Do(ctx, t.scene); err != nil {
			return err
		}
	}
	if p.Right == nil {
		p.Right = stays
	}
	done := time.Now()
	for {
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
		if took := time.Since(done); took < s.Hold {
			continue
		} else if p.wrong, p.unsettled = t.look(p.Right); len(p.wrong)+len(p.unsettled) == 0 || took > s.Hold+patient {
			p.to = time.Since(t.began)
			t.steps = append(t.steps, p)
			return nil
		}
	}
}

// named are the victim's faults as its SpeakerState has them, once the fault is among them; or as they are when that was waited for
// in vain. Addresses may have moved before the centre says why.
func (t *trial) named(ctx context.Context) (faults []string, err error) {
	for from := time.Now(); ; {
		all, err := states(ctx, t.kube)
		faults = nil
		for _, f := range all[t.scene.victim].Faults {
			faults = append(faults, f.Reason+": "+f.Message)
		}
		if err == nil && t.isNamed(faults) || time.Since(from) > patient {
			return faults, err
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// isNamed says whether one of the faults is what the fault must be named.
func (t *trial) isNamed(faults []string) bool {
	return slices.ContainsFunc(faults, func(f string) bool { return strings.HasPrefix(f, t.fault.Named) })
}

// look says what is not as it should be at present: whose addresses are with the wrong node, and what else is amiss.
func (t *trial) look(right func(victim, home string, far bool) []string) (wrong, unsettled []string) {
	now := time.Since(t.began)
	for home, addresses := range t.homes {
		for _, a := range addresses {
			for i, p := range t.probers {
				by := onlyNodes(p.recording().window(a, now-steady, now)).By()
				allowed := right(t.scene.victim, home, i == 1)
				for _, n := range by {
					if !slices.Contains(allowed, n) {
						wrong = append(wrong, fmt.Sprintf("%s: %s seen by %s; right: %s", a, n, p.Name, strings.Join(allowed, ", ")))
					}
				}
				if len(by) != 1 {
					unsettled = append(unsettled, fmt.Sprintf("%s: answered by %v, as %s sees it", a, by, p.Name))
				}
			}
			if t.fault.Kind == Lossy || t.fault.Kind == Foreign {
				continue
			}
			if n := t.client.window(a, now-steady, now).Lost(now - flight); n > 0 {
				unsettled = append(unsettled, fmt.Sprintf("%s: %d requests were lost just now", a, n))
			}
		}
	}
	slices.Sort(wrong)
	slices.Sort(unsettled)
	return wrong, unsettled
}

func onlyNodes(t Track) Track {
	t.Answers = slices.DeleteFunc(t.Answers, func(a Answer) bool { return !strings.HasPrefix(a.By, "node") })
	return t
}

// record is what the steps of one row have shown.
func (t *trial) record(steps []passed) Record {
	r := Record{Fault: t.fault.Name, Row: t.fault.Name, Kind: t.fault.Kind, Still: t.fault.Still, Victim: t.scene.victim}
	if first := steps[0]; first.Row != "" {
		r.Row, r.Kind = first.Row, first.Kind
	}
	for _, s := range steps {
		r.Wrong = append(r.Wrong, s.wrong...)
		r.Unsettled = append(r.Unsettled, s.unsettled...)
	}
	from, to := steps[0].from, steps[len(steps)-1].to
	for _, home := range everyNode() {
		for _, a := range t.homes[home] {
			s := t.sample(home, a, from, to)
			if t.fault.touched(t.scene.victim, home) {
				r.Samples = append(r.Samples, s)
			} else {
				r.Others = append(r.Others, s)
			}
		}
	}
	return r
}

func (t *trial) sample(home string, a netip.Addr, from, to time.Duration) Sample {
	requests := t.client.window(a, from, to)
	s := Sample{
		Address: a.String(), Home: home, ClientGap: Milliseconds(requests.Gap(to)), Sent: len(requests.Asked),
		Lost: t.client.window(a, from, to+flight).Lost(to),
	}
	for i, p := range t.probers {
		w := onlyNodes(p.recording().window(a, from, to))
		most, longest := w.AtOnce(func(string) bool { return true })
		s.AtOnce = max(s.AtOnce, most)
		s.Overlap = max(s.Overlap, Milliseconds(longest))
		s.ProbeGap = max(s.ProbeGap, Milliseconds(w.Gap(to)))
		if i == 0 {
			// Who answered when it began may not have done so since.
			s.Moves = onlyNodes(p.recording().window(a, from-steady, to)).Moves()
			s.By = w.By()
			s.End = onlyNodes(p.recording().window(a, to-steady, to)).By()
		}
	}
	return s
}

// probe plugs a host with a prober into the lan.
func (m *Matrix) probe(ctx context.Context, name string, hostNumber int) (*prober, error) {
	h, err := plug(m.places[network.Switch], name,
		netip.MustParsePrefix(fmt.Sprintf("192.168.222.%d/24", hostNumber)), netip.MustParsePrefix(fmt.Sprintf("fd00:222::%d/64", hostNumber)))
	if err != nil {
		return nil, err
	}
	p, err := probe(ctx, h, time.Now(), m.addresses, m.name)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return p, nil
}
