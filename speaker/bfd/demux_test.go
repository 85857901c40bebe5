package bfd

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestDemultiplexing: RFC 5880 section 6.3, RFC 5881 section 3, RFC 5883 section 4.
func TestDemultiplexing(t *testing.T) {
	h := newMemory().host("192.0.2.1")
	e := New(Options{Transport: h})
	defer e.Close()
	remote, other, local := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.1")
	ll := netip.MustParseAddr("fe80::2")
	keys := map[string]Key{
		"plain":       {Remote: remote},
		"from local":  {Remote: remote, Local: local},
		"eth1":        {Remote: ll, Interface: "eth1"},
		"eth2":        {Remote: ll, Interface: "eth2"},
		"multi-hop":   {Remote: remote, MultiHop: true},
		"red":         {Remote: remote, VRF: "red"},
		"other, eth1": {Remote: other, Interface: "eth1"},
	}
	names := make(map[*Session]string)
	discriminators := make(map[string]uint32)
	for name, k := range keys {
		s, err := e.Open(k, fast, nil)
		if err != nil {
			t.Fatal(err)
		}
		names[s], discriminators[name] = name, s.discriminator
	}
	six := Scope{IPv6: true}
	for name, test := range map[string]struct {
		scope         Scope
		source, to    netip.Addr
		iface         string
		discriminator uint32
		want          string
		err           error
	}{
		"first, to the address of a session": {Scope{}, remote, local, "eth0", 0, "from local", nil},
		"first, to another address":          {Scope{}, remote, other, "eth0", 0, "plain", nil},
		"first, link-local on one interface": {six, ll, ll, "eth1", 0, "eth1", nil},
		"first, link-local on another":       {six, ll, ll, "eth2", 0, "eth2", nil},
		"first, link-local on a third":       {six, ll, ll, "eth3", 0, "", DiscardUnknownNeighbor},
		"first, on the wrong interface":      {Scope{}, other, local, "eth0", 0, "", DiscardUnknownNeighbor},
		"first, multi-hop":                   {Scope{MultiHop: true}, remote, local, "eth0", 0, "multi-hop", nil},
		"first, in a VRF":                    {Scope{VRF: "red"}, remote, local, "eth0", 0, "red", nil},
		"first, in another VRF":              {Scope{VRF: "blue"}, remote, local, "eth0", 0, "", DiscardUnknownNeighbor},
		"first, of a stranger":               {Scope{}, netip.MustParseAddr("192.0.2.9"), local, "eth0", 0, "", DiscardUnknownNeighbor},
		"by number":                          {Scope{}, remote, local, "eth0", discriminators["plain"], "plain", nil},
		"by number, from elsewhere":          {Scope{}, other, other, "eth9", discriminators["plain"], "plain", nil},
		"by number, at the wrong port":       {Scope{MultiHop: true}, remote, local, "eth0", discriminators["plain"], "", DiscardUnknownDiscriminator},
		"by number, in the wrong VRF":        {Scope{}, remote, local, "eth0", discriminators["red"], "", DiscardUnknownDiscriminator},
		"by a number of nobody":              {Scope{}, remote, local, "eth0", 1, "", DiscardUnknownDiscriminator},
	} {
		t.Run(name, func(t *testing.T) {
			d := &Datagram{Source: test.source, Destination: test.to, Interface: test.iface, TTL: 255}
			s, err := e.find(test.scope, d, &Packet{State: Down, YourDiscriminator: test.discriminator})
			if names[s] != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %q, %v; want %q, %v", names[s], err, test.want, test.err)
			}
		})
	}
}

// TestGarbageHurtsNobody: a flood of what is no session's is counted, and a session beside it lives on.
func TestGarbageHurtsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemory()
		a, _ := pair(t, n, fast, fast)
		stranger := n.host("192.0.2.66")
		flood, err := stranger.Dial(Key{Remote: a.host.address})
		if err != nil {
			t.Fatal(err)
		}
		lie := Packet{State: Down, DetectMultiplier: 1, MyDiscriminator: 6, YourDiscriminator: 1}
		authenticated := append(lie.Append(nil), uint8(KeyedMD5), digestSectionMD5Len)
		authenticated[1] |= flagAuthentication
		authenticated[3] = PacketLen + digestSectionMD5Len
		authenticated = append(authenticated, make([]byte, digestSectionMD5Len-2)...)
		time.Sleep(5 * time.Second)
		const rounds = 5000
		for range rounds {
			for _, payload := range [][]byte{nil, {0x20}, lie.Append(nil), authenticated} {
				if err := flood.Send(payload); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
		if got := a.engine.Discarded(); got != 4*rounds {
			t.Errorf("%d thrown away, want %d", got, 4*rounds)
		}
		a.want(t, Up)
		if s := a.Status(); s.Counters.DownEvents != 0 || s.Counters.Discarded != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestAuthenticatedNeighbor: what we cannot check is not believed, and the owner learns why nothing comes up.
func TestAuthenticatedNeighbor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemory()
		h, strict := n.host("192.0.2.1"), n.host("192.0.2.2")
		a := open(t, h, Key{Remote: strict.address}, fast)
		out, err := strict.Dial(Key{Remote: h.address})
		if err != nil {
			t.Fatal(err)
		}
		p := Packet{State: Down, DetectMultiplier: 3, MyDiscriminator: 6}
		b := append(p.Append(nil), uint8(SimplePassword), 5, 1, 'p', 'w')
		b[1] |= flagAuthentication
		b[3] = uint8(len(b))
		synctest.Wait()
		if err := out.Send(b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		s := a.Status()
		if s.State != Down || s.Counters.Discarded != 1 || s.Counters.ControlReceived != 0 || !strings.Contains(strings.Join(s.Notices, ";"), "authenticated") {
			t.Errorf("%+v", s)
		}
	})
}

// reluctant is a Transport that cannot do a thing, for a while.
type reluctant struct {
	*host
	refusals int
}

func (r *reluctant) refuse() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refusals > 0 {
		r.refusals--
		return errors.New("the device is not there yet")
	}
	return nil
}

func (r *reluctant) Listen(sc Scope) (Receiver, error) {
	if err := r.refuse(); err != nil {
		return nil, err
	}
	return r.host.Listen(sc)
}

func (r *reluctant) Dial(k Key) (Sender, error) {
	if err := r.refuse(); err != nil {
		return nil, err
	}
	return r.host.Dial(k)
}

// TestWhatTheNetworkRefusesIsTriedAgain: and told meanwhile.
func TestWhatTheNetworkRefusesIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemory()
		r := &reluctant{n.host("192.0.2.1"), 20}
		b := open(t, n.host("192.0.2.2"), Key{Remote: r.address}, fast)
		a := &end{engine: New(Options{Transport: r})}
		t.Cleanup(a.engine.Close)
		var err error
		if a.Session, err = a.engine.Open(Key{Remote: b.host.address}, fast, a.changed); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		got := strings.Join(a.Status().Notices, "; ")
		if !strings.Contains(got, "cannot send: the device") || !strings.Contains(got, "cannot receive single-hop IPv4 control packets: the device") {
			t.Errorf("notices: %s", got)
		}
		time.Sleep(5 * time.Minute)
		a.want(t, Up)
		if s := a.Status(); len(s.Notices) != 0 {
			t.Errorf("notices: %q", s.Notices)
		}
		a.mu.Lock()
		if len(a.told) > 20 {
			t.Errorf("told %d times", len(a.told))
		}
		a.mu.Unlock()
	})
}

// TestChatterOfNeighborIsNotPassedOn: a neighbour that says something new with every packet does not keep the owner busy.
func TestChatterOfNeighborIsNotPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, newMemory(), fast, fast)
		time.Sleep(5 * time.Second)
		told := func() int {
			a.mu.Lock()
			defer a.mu.Unlock()
			return len(a.told)
		}
		before := told()
		for i := range 10000 {
			p := Packet{State: Up, DetectMultiplier: 3, MyDiscriminator: b.discriminator, YourDiscriminator: a.discriminator,
				DesiredMinTx: time.Duration(i) * time.Microsecond, RequiredMinRx: time.Second}
			now := time.Now()
			a.engine.control(Scope{}, &Datagram{Payload: p.Append(nil), Source: b.host.address, TTL: 255}, arrival{now, now})
			time.Sleep(100 * time.Microsecond)
		}
		if got := told() - before; got > 15 {
			t.Errorf("told %d times within a second", got)
		}
		time.Sleep(time.Second)
		a.mu.Lock()
		if last, now := a.told[len(a.told)-1], a.Status(); last.RemoteTransmitInterval != now.RemoteTransmitInterval {
			t.Errorf("told of %s in the end, it is %s", last.RemoteTransmitInterval, now.RemoteTransmitInterval)
		}
		a.mu.Unlock()
	})
}
