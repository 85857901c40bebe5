package bfd

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// All tests here run on a fake clock, on which time.Sleep lets the sessions act until then.

var fast = Parameters{ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 50 * time.Millisecond, DetectMultiplier: 3}

// end is one end of a session, with what its owner was told.
type end struct {
	*Session
	engine *Engine
	host   *host

	mu   sync.Mutex
	told []Status
}

func (e *end) changed(s Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, s)
}

// states returns the states that the owner was told, each once in a row.
func (e *end) states() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for _, s := range e.told {
		if n := s.State.String(); len(all) == 0 || all[len(all)-1] != n {
			all = append(all, n)
		}
	}
	return strings.Join(all, " ")
}

func open(t *testing.T, h *host, k Key, p Parameters) *end {
	t.Helper()
	e := &end{engine: New(Options{Transport: h}), host: h}
	t.Cleanup(e.engine.Close)
	var err error
	if e.Session, err = e.engine.Open(k, p, e.changed); err != nil {
		t.Fatal(err)
	}
	return e
}

// pair opens a session between two hosts.
func pair(t *testing.T, n *memory, p, q Parameters) (a, b *end) {
	t.Helper()
	ha, hb := n.host("192.0.2.1"), n.host("192.0.2.2")
	return open(t, ha, Key{Remote: hb.address}, p), open(t, hb, Key{Remote: ha.address}, q)
}

func (e *end) want(t *testing.T, s State) {
	t.Helper()
	if got := e.Status(); got.State != s {
		t.Fatalf("state is %s (%s), want %s; told: %s", got.State, got.Diagnostic, s, e.states())
	}
}

func TestSessionComesUpAndNegotiates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newMemory(),
			Parameters{ReceiveInterval: 100 * time.Millisecond, TransmitInterval: 50 * time.Millisecond, DetectMultiplier: 3},
			Parameters{ReceiveInterval: 200 * time.Millisecond, TransmitInterval: 400 * time.Millisecond, DetectMultiplier: 5})
		time.Sleep(5 * time.Second)

		want := Status{
			Key: Key{Remote: b.host.address}, Local: netip.MustParseAddrPort("192.0.2.1:49153"),
			State: Up, RemoteState: Up,
			LocalDiscriminator: b.Status().RemoteDiscriminator, RemoteDiscriminator: b.Status().LocalDiscriminator,
			TransmitInterval: 200 * time.Millisecond, DetectionTime: 5 * 400 * time.Millisecond,
			RemoteReceiveInterval: 200 * time.Millisecond, RemoteTransmitInterval: 400 * time.Millisecond, RemoteDetectMultiplier: 5,
			Counters: Counters{UpEvents: 1},
		}
		got := a.Status()
		if got.Counters.ControlReceived == 0 || got.Counters.ControlSent == 0 || got.Since.IsZero() {
			t.Errorf("nothing counted: %+v", got)
		}
		got.Counters.ControlReceived, got.Counters.ControlSent, got.Since = 0, 0, time.Time{}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }), cmp.Comparer(func(x, y netip.AddrPort) bool { return x == y })); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
		if s := b.Status(); s.TransmitInterval != 400*time.Millisecond || s.DetectionTime != 3*200*time.Millisecond {
			t.Errorf("the other end sends each %s and detects in %s", s.TransmitInterval, s.DetectionTime)
		}
	})
}

func TestCutLinkIsDetectedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemory()
		a, b := pair(t, n, fast, fast)
		time.Sleep(5 * time.Second)
		n.setFate(func(netip.Addr, netip.Addr, []byte) (time.Duration, bool) { return 0, true })
		cut := time.Now()
		time.Sleep(time.Second)

		for _, e := range []*end{a, b} {
			s := e.Status()
			if took := s.Since.Sub(cut); took > 150*time.Millisecond {
				t.Errorf("detected after %s", took)
			}
			if s.State != Down || s.Diagnostic != ControlDetectionTimeExpired || !s.Failed || s.LastDown != ControlDetectionTimeExpired {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestStarvedProcessDoesNotDeclareDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, newMemory(), fast, fast)
		time.Sleep(5 * time.Second)
		// Packets arrive, but the goroutine that waits for them gets no time.
		a.host.receiver(Scope{}).starve(true)
		time.Sleep(10 * time.Second)
		a.want(t, Up)
		if s := a.Status(); s.Counters.DownEvents != 0 {
			t.Errorf("%d false downs", s.Counters.DownEvents)
		}
	})
}

func TestAdminDownIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newMemory(), fast, fast)
		time.Sleep(5 * time.Second)
		<-a.AdminDown()
		synctest.Wait()

		s := b.Status()
		if s.State != Down || s.RemoteState != AdminDown || s.Diagnostic != NeighborSignaledDown || s.RemoteDiagnostic != AdministrativelyDown || s.Failed {
			t.Errorf("neighbour: %+v", s)
		}
		a.want(t, AdminDown)
		time.Sleep(time.Minute)
		if got, want := b.states(), "Down Init Up Down"; !strings.HasSuffix(want, got) {
			t.Errorf("the neighbour went through %q, want %q", got, want)
		}
		if b.Status().Failed {
			t.Error("AdminDown became a failure later")
		}
	})
}

func TestAdminDownIsSaidUntilTheNeighbourAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemory()
		a, _ := pair(t, n, fast, fast)
		time.Sleep(5 * time.Second)
		lose := 1
		n.setFate(func(from, _ netip.Addr, _ []byte) (time.Duration, bool) {
			if from == a.host.address && lose > 0 {
				lose--
				return 0, true
			}
			return 0, false
		})
		sent := a.Status().Counters.ControlSent
		<-a.AdminDown()
		if got := a.Status().Counters.ControlSent - sent; got < 2 {
			t.Errorf("said %d times, although the first was lost", got)
		}
		time.Sleep(time.Minute)
		if after := a.Status().Counters.ControlSent - sent; after > 4 {
			t.Errorf("AdminDown said %d times", after)
		}
	})
}

func TestCloseAndOpenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newMemory(), fast, fast)
		time.Sleep(5 * time.Second)
		a.Close()
		again, err := a.engine.Open(Key{Remote: b.host.address}, fast, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if s := again.Status(); s.State != Up {
			t.Errorf("the new session is %s", s.State)
		}
		if s := b.Status(); s.State != Up || s.Counters.DownEvents != 1 || s.RemoteDiscriminator != again.Status().LocalDiscriminator {
			t.Errorf("the neighbour: %+v", s)
		}
		if err := a.Retune(fast); !errors.Is(err, ErrClosed) {
			t.Errorf("Retune of a closed session: %v", err)
		}
		a.engine.mu.RLock()
		if len(a.engine.byDiscriminator) != 1 {
			t.Errorf("%d sessions left, want 1", len(a.engine.byDiscriminator))
		}
		a.engine.mu.RUnlock()
	})
}

func TestPassiveRole(t *testing.T) {
	passive := fast
	passive.Passive = true
	for name, test := range map[string]struct {
		a, b Parameters
		want State
	}{
		"one end":  {passive, fast, Up},
		"other":    {fast, passive, Up},
		"both":     {passive, passive, Down},
		"no end":   {fast, fast, Up},
		"mult one": {passive, Parameters{ReceiveInterval: time.Second, TransmitInterval: time.Second, DetectMultiplier: 1}, Up},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := pair(t, newMemory(), test.a, test.b)
				time.Sleep(20 * time.Second)
				a.want(t, test.want)
				b.want(t, test.want)
				if sent := a.Status().Counters.ControlSent; test.want == Down && sent != 0 {
					t.Errorf("a passive end sent %d packets to nobody", sent)
				}
			})
		})
	}
}

func TestOwnerIsToldEveryTransitionInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemory()
		ha, hb := n.host("192.0.2.1"), n.host("192.0.2.2")
		open(t, hb, Key{Remote: ha.address}, fast)
		engine := New(Options{Transport: ha})
		t.Cleanup(engine.Close)
		var states []State
		release := make(chan struct{})
		_, err := engine.Open(Key{Remote: hb.address}, fast, func(s Status) {
			<-release // a slow owner does not hold up the session
			if len(states) == 0 || states[len(states)-1] != s.State {
				states = append(states, s.State)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(5 * time.Second)
			n.setFate(func(netip.Addr, netip.Addr, []byte) (time.Duration, bool) { return 0, true })
			time.Sleep(time.Second)
			n.setFate(nil)
		}
		time.Sleep(5 * time.Second)
		close(release)
		synctest.Wait()
		var ups, downs int
		for i, s := range states {
			if s == Up {
				ups++
			}
			if s == Down && i > 0 && states[i-1] == Up {
				downs++
			}
		}
		if ups != 4 || downs != 3 {
			t.Errorf("told %v", states)
		}
	})
}

func TestRetuneKeepsTheSession(t *testing.T) {
	slow := Parameters{ReceiveInterval: 2 * time.Second, TransmitInterval: 2 * time.Second, DetectMultiplier: 4}
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newMemory(), fast, fast)
		time.Sleep(5 * time.Second)
		for _, p := range []Parameters{slow, fast, slow, fast} {
			if err := a.Retune(p); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			want := max(p.TransmitInterval, fast.ReceiveInterval)
			if got := a.Status().TransmitInterval; got != want {
				t.Errorf("sends each %s, want %s", got, want)
			}
			if got, want := b.Status().DetectionTime, want*time.Duration(p.DetectMultiplier); got != want {
				t.Errorf("the neighbour detects in %s, want %s", got, want)
			}
		}
		if n, m := a.Status().Counters.DownEvents, b.Status().Counters.DownEvents; n != 0 || m != 0 {
			t.Errorf("flaps: %d and %d", n, m)
		}
	})
}

func TestTTL(t *testing.T) {
	multi := fast
	multi.MinimumTTL = 250
	for name, test := range map[string]struct {
		multiHop bool
		ttl      uint8
		want     State
		notice   string
	}{
		"single hop 255":          {false, 255, Up, ""},
		"single hop 254":          {false, 254, Down, "TTL of 255"},
		"multi hop at minimum":    {true, 250, Up, ""},
		"multi hop below minimum": {true, 249, Down, "minimum TTL"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemory()
				n.ttl = test.ttl
				ha, hb := n.host("192.0.2.1"), n.host("198.51.100.2")
				a := open(t, ha, Key{Remote: hb.address, MultiHop: test.multiHop}, multi)
				open(t, hb, Key{Remote: ha.address, MultiHop: test.multiHop}, multi)
				time.Sleep(5 * time.Second)
				a.want(t, test.want)
				s := a.Status()
				if got := strings.Join(s.Notices, "; "); !strings.Contains(got, test.notice) || test.notice == "" && got != "" {
					t.Errorf("notices: %q", got)
				}
			})
		})
	}
}

func TestEchoFunction(t *testing.T) {
	p := fast
	p.Echo, p.EchoInterval = true, 40*time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		n := newMemory()
		a, b := pair(t, n, p, p)
		time.Sleep(10 * time.Second)
		s := a.Status()
		if s.State != Up || s.EchoTransmitInterval != 40*time.Millisecond || s.Counters.EchoReceived == 0 || len(s.Notices) != 0 {
			t.Fatalf("%+v", s)
		}
		// Control packets are slow now, in both directions.
		if s.TransmitInterval != time.Second || s.DetectionTime != 3*time.Second {
			t.Errorf("control packets each %s, detection in %s", s.TransmitInterval, s.DetectionTime)
		}

		// A path that carries control packets alone has failed.
		n.setFate(func(_, _ netip.Addr, payload []byte) (time.Duration, bool) { return 0, len(payload) == echoLen })
		cut := time.Now()
		time.Sleep(500 * time.Millisecond)
		s = a.Status()
		if s.LastDown != EchoFunctionFailed && b.Status().LastDown != EchoFunctionFailed {
			t.Errorf("%+v", s)
		}
		a.mu.Lock()
		i := slices.IndexFunc(a.told, func(s Status) bool { return s.State == Down && s.Since.After(cut) })
		if i < 0 || a.told[i].Since.Sub(cut) > 130*time.Millisecond {
			t.Errorf("not detected in time: %+v", a.told)
		}
		a.mu.Unlock()
	})
}

func TestEchoThatNobodySendsBack(t *testing.T) {
	p := fast
	p.Echo, p.EchoInterval = true, 40*time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newMemory(), p, p)
		a.host.setForwards(false)
		b.host.setForwards(false)
		time.Sleep(10 * time.Second)
		s := a.Status()
		if s.State != Up || s.Counters.DownEvents != 0 || s.TransmitInterval != 50*time.Millisecond {
			t.Errorf("%+v", s)
		}
		if got := strings.Join(s.Notices, "; "); !strings.Contains(got, "does not") || !strings.Contains(got, "forwarding is off") {
			t.Errorf("notices: %s", got)
		}
	})
}

func TestSendingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pair(t, newMemory(), fast, fast)
		a.host.setBroken(errors.New("no such device"))
		time.Sleep(30 * time.Second)
		if got := strings.Join(a.Status().Notices, "; "); !strings.Contains(got, "no such device") {
			t.Errorf("notices: %q", got)
		}
		a.host.setBroken(nil)
		time.Sleep(30 * time.Second)
		a.want(t, Up)
		if n := a.Status().Notices; len(n) != 0 {
			t.Errorf("notices: %q", n)
		}
	})
}

func TestOpenRefusesNonsense(t *testing.T) {
	e := New(Options{Transport: newMemory().host("192.0.2.1")})
	defer e.Close()
	remote := netip.MustParseAddr("192.0.2.2")
	for name, test := range map[string]struct {
		key  Key
		p    Parameters
		want string
	}{
		"no address":      {Key{}, fast, "not the address of a neighbour"},
		"multicast":       {Key{Remote: netip.MustParseAddr("224.0.0.1")}, fast, "not the address of a neighbour"},
		"zone":            {Key{Remote: netip.MustParseAddr("fe80::1%eth0")}, fast, "zone"},
		"families":        {Key{Remote: remote, Local: netip.MustParseAddr("2001:db8::1")}, fast, "another family"},
		"link-local":      {Key{Remote: netip.MustParseAddr("fe80::1")}, fast, "named interface"},
		"no interval":     {Key{Remote: remote}, Parameters{TransmitInterval: time.Second, DetectMultiplier: 3}, "receive interval"},
		"long interval":   {Key{Remote: remote}, Parameters{ReceiveInterval: time.Second, TransmitInterval: 2 * time.Hour, DetectMultiplier: 3}, "transmit interval"},
		"echo interval":   {Key{Remote: remote}, Parameters{ReceiveInterval: time.Second, TransmitInterval: time.Second, DetectMultiplier: 3, Echo: true}, "echo interval"},
		"zero multiplier": {Key{Remote: remote}, Parameters{ReceiveInterval: time.Second, TransmitInterval: time.Second}, "multiplier"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := e.Open(test.key, test.p, nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, err := e.Open(Key{Remote: remote}, fast, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Open(Key{Remote: remote}, fast, nil); err == nil {
		t.Error("the same session twice")
	}
}
