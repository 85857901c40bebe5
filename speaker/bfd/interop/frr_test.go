package interop

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/await"
)

const ms = time.Millisecond

// calm keeps a session up on a busy machine: the neighbour bears ten seconds without a packet of ours.
var calm = bfd.Parameters{ReceiveInterval: 400 * ms, TransmitInterval: 300 * ms, EchoInterval: 200 * ms, DetectMultiplier: 30, MinimumTTL: 254}

// calmFRR is the same wish with other numbers, of FRR's.
func calmFRR(peer string, more ...string) []string {
	lines := append([]string{"peer " + peer, "receive-interval 350", "transmit-interval 450", "detect-multiplier 6"}, more...)
	return append(lines, "no shutdown", "exit")
}

// TestSingleHop: both ends come up, over both families, and each shows the other's parameters and the negotiated times.
func TestSingleHop(t *testing.T) {
	for name, test := range map[string]struct {
		node, frr netip.Addr
		key       bfd.Key
	}{
		"IPv4":                     {node4, frr4, bfd.Key{Remote: frr4}},
		"IPv4, address":            {node4, frr4, bfd.Key{Remote: frr4, Local: node4}},
		"IPv6":                     {node6, frr6, bfd.Key{Remote: frr6}},
		"IPv6, address, interface": {node6, frr6, bfd.Key{Remote: frr6, Local: node6, Interface: "eth1"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := connected(t, calmFRR(test.node.String())...)
			s := open(t, test.key, calm)
			got := s.becomes(t, "session is up and agreed", func(st bfd.Status) bool {
				return isUp(st) && st.TransmitInterval == 350*ms && st.DetectionTime == 6*450*ms
			})
			if got.RemoteReceiveInterval != 350*ms || got.RemoteTransmitInterval != 450*ms || got.RemoteDetectMultiplier != 6 {
				t.Errorf("%+v", got)
			}
			if got.Local.Addr() != test.node || got.Local.Port() < 49152 {
				t.Errorf("sends from %s", got.Local)
			}
			n.shows(t, test.node, "our parameters", func(p peer) bool {
				return p.Status == "up" && p.RemoteReceive == 400 && p.RemoteTransmit == 300 && p.RemoteMultiplier == 30 && p.RemoteEcho == 0 &&
					p.RemoteID == got.LocalDiscriminator && p.ID == got.RemoteDiscriminator
			})
		})
	}
}

// TestLinkLocal: the neighbour is known by its link-local address and the interface.
func TestLinkLocal(t *testing.T) {
	n := connected(t)
	node, frr := n.cable.LinkLocal(t, n.port), n.Namespace.LinkLocal(t, "eth0")
	n.Enter(t, append([]string{"bfd"}, calmFRR(node.String()+" local-address "+frr.String()+" interface eth0")...)...)
	s := open(t, bfd.Key{Remote: frr, Interface: "eth1"}, calm)
	s.becomes(t, "session is up", isUp)
	n.shows(t, node, "it up", func(p peer) bool { return p.Status == "up" })
}

// TestMultiHop: through a router, with a minimum TTL that allows for it, or does not.
func TestMultiHop(t *testing.T) {
	for name, test := range map[string]struct {
		node, frr netip.Addr
	}{"IPv4": {node4, far4}, "IPv6": {node6, far6}} {
		t.Run(name, func(t *testing.T) {
			n := distant(t, calmFRR(test.node.String()+" multihop local-address "+test.frr.String(), "minimum-ttl 250")...)
			s := open(t, bfd.Key{Remote: test.frr, MultiHop: true}, calm)
			s.becomes(t, "session is up", isUp)
			n.shows(t, test.node, "it up", func(p peer) bool { return p.Status == "up" })

			// One router takes one off the TTL: 255 is too much to ask, and live.
			strict := calm
			strict.MinimumTTL = 255
			if err := s.Retune(strict); err != nil {
				t.Fatal(err)
			}
			got := s.becomes(t, "session is down", func(st bfd.Status) bool {
				return st.State == bfd.Down && st.Counters.Discarded > 0 && len(st.Notices) > 0
			})
			if got.LastDown != bfd.ControlDetectionTimeExpired || !got.Failed {
				t.Errorf("%+v", got)
			}
			if err := s.Retune(calm); err != nil {
				t.Fatal(err)
			}
			s.becomes(t, "session is up again", isUp)
		})
	}
}

// TestMultiHopIsNoSingleHop: packets that were routed are no single-hop neighbour's.
func TestMultiHopIsNoSingleHop(t *testing.T) {
	distant(t, calmFRR(node4.String()+" local-address "+far4.String())...)
	s := open(t, bfd.Key{Remote: far4}, calm)
	s.becomes(t, "packets sent in vain", func(st bfd.Status) bool { return st.Counters.ControlSent >= 3 })
	if got := s.Status(); got.State != bfd.Down || got.Counters.UpEvents != 0 {
		t.Errorf("%+v", got)
	}
}

// TestRetune: parameters change on either side while the session is up, and stays so.
func TestRetune(t *testing.T) {
	n := connected(t, calmFRR(node4.String())...)
	s := open(t, bfd.Key{Remote: frr4}, calm)
	s.becomes(t, "session is up", isUp)
	n.shows(t, node4, "it up", func(p peer) bool { return p.Status == "up" && p.RemoteTransmit == 300 })

	for _, p := range []bfd.Parameters{
		{ReceiveInterval: 1200 * ms, TransmitInterval: 1500 * ms, DetectMultiplier: 10},
		{ReceiveInterval: 200 * ms, TransmitInterval: 250 * ms, DetectMultiplier: 90},
		{ReceiveInterval: 400 * ms, TransmitInterval: 300 * ms, DetectMultiplier: 50},
	} {
		if err := s.Retune(p); err != nil {
			t.Fatal(err)
		}
		s.becomes(t, "our new parameters are in use", func(st bfd.Status) bool {
			return st.TransmitInterval == max(p.TransmitInterval, 350*ms) && st.DetectionTime == 6*max(p.ReceiveInterval, 450*ms)
		})
		n.shows(t, node4, "our new parameters", func(shown peer) bool {
			return shown.Status == "up" && shown.RemoteReceive == int(p.ReceiveInterval/ms) &&
				shown.RemoteTransmit == int(p.TransmitInterval/ms) && shown.RemoteMultiplier == int(p.DetectMultiplier)
		})
	}
	for _, test := range []struct {
		lines              []string
		transmit, detected time.Duration
	}{
		{[]string{"receive-interval 900", "transmit-interval 1100", "detect-multiplier 4"}, 900 * ms, 4400 * ms},
		{[]string{"receive-interval 320", "transmit-interval 410", "detect-multiplier 7"}, 320 * ms, 7 * 410 * ms},
	} {
		n.Enter(t, append([]string{"bfd", "peer " + node4.String()}, test.lines...)...)
		s.becomes(t, "FRR's new parameters are in use", func(st bfd.Status) bool {
			return st.TransmitInterval == test.transmit && st.DetectionTime == test.detected
		})
	}
	if got := s.Status().Counters; got.UpEvents != 1 || got.DownEvents != 0 {
		t.Errorf("our session flapped: %+v", got)
	}
	if c := n.counters(t, node4); c.Ups != 1 || c.Downs != 0 {
		t.Errorf("FRR counts %+v", c)
	}
}

// TestPassive: whoever is passive waits for the other; when both are, nothing happens.
func TestPassive(t *testing.T) {
	passive := calm
	passive.Passive = true
	for name, test := range map[string]struct {
		ours bfd.Parameters
		frrs []string
		up   bool
	}{
		"we":   {passive, nil, true},
		"FRR":  {calm, []string{"passive-mode"}, true},
		"both": {passive, []string{"passive-mode"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := connected(t, calmFRR(node4.String(), test.frrs...)...)
			s := open(t, bfd.Key{Remote: frr4}, test.ours)
			if test.up {
				s.becomes(t, "session is up", isUp)
				n.shows(t, node4, "it up", func(p peer) bool { return p.Status == "up" && p.Passive == (test.frrs != nil) })
				return
			}
			// Until one end stops being passive, and that live.
			n.shows(t, node4, "a passive session that waits", func(p peer) bool { return p.Passive && p.Status == "down" })
			if got := s.Status(); got.State != bfd.Down || got.Counters.ControlSent != 0 || got.Counters.ControlReceived != 0 {
				t.Errorf("%+v", got)
			}
			if err := s.Retune(calm); err != nil {
				t.Fatal(err)
			}
			s.becomes(t, "session is up", isUp)
		})
	}
}

// TestNeighborThatStartsAnew: FRR forgets the session, and has another discriminator afterwards, as after a reboot.
func TestNeighborThatStartsAnew(t *testing.T) {
	n := connected(t, calmFRR(node4.String())...)
	s := open(t, bfd.Key{Remote: frr4}, calm)
	before := s.becomes(t, "session is up", isUp)
	n.Enter(t, "bfd", "no peer "+node4.String())
	s.becomes(t, "session is down", func(st bfd.Status) bool { return st.State == bfd.Down })
	n.Enter(t, append([]string{"bfd"}, calmFRR(node4.String())...)...)
	after := s.becomes(t, "session is up again", isUp)
	if after.RemoteDiscriminator == before.RemoteDiscriminator || after.LocalDiscriminator != before.LocalDiscriminator {
		t.Errorf("before %+v, after %+v", before, after)
	}
	n.shows(t, node4, "it up", func(p peer) bool { return p.Status == "up" && p.RemoteID == after.LocalDiscriminator })
}

// TestAdminDownOfFRR: the owner is told that it is no failure, and the session comes back.
func TestAdminDownOfFRR(t *testing.T) {
	n := connected(t, calmFRR(node4.String())...)
	s := open(t, bfd.Key{Remote: frr4}, calm)
	s.becomes(t, "session is up", isUp)
	n.shows(t, node4, "it up", func(p peer) bool { return p.Status == "up" })
	told := s.count()
	n.Enter(t, "bfd", "peer "+node4.String(), "shutdown")
	got := s.becomes(t, "session is down", func(st bfd.Status) bool { return st.State == bfd.Down })
	if got.RemoteState != bfd.AdminDown || got.Diagnostic != bfd.NeighborSignaledDown || got.Failed {
		t.Errorf("%+v", got)
	}
	n.Enter(t, "bfd", "peer "+node4.String(), "no shutdown")
	s.becomes(t, "session is up again", isUp)
	if st, failed := s.first(told, func(st bfd.Status) bool { return st.Failed }); failed {
		t.Errorf("the owner was told of a failure: %+v", st)
	}
}

// TestAdminDownOfOurs: FRR knows that we did it.
func TestAdminDownOfOurs(t *testing.T) {
	n := connected(t, calmFRR(node4.String())...)
	s := open(t, bfd.Key{Remote: frr4}, calm)
	s.becomes(t, "session is up", isUp)
	n.shows(t, node4, "it up", func(p peer) bool { return p.Status == "up" })
	<-s.AdminDown()
	n.shows(t, node4, "our AdminDown", func(p peer) bool {
		return p.Status == "down" && p.Diagnostic == "neighbor signaled session down" && p.RemoteDiagnostic == "administratively down"
	})
	// A successor, as after a restart.
	s.Close()
	again, err := s.engine.Open(bfd.Key{Remote: frr4}, calm, nil)
	if err != nil {
		t.Fatal(err)
	}
	n.shows(t, node4, "the new session", func(p peer) bool {
		return p.Status == "up" && p.RemoteID == again.Status().LocalDiscriminator
	})
}

// TestEcho: echo packets go both ways, those of each end coming back from the other's kernel; the path of echo packets alone
// failing is a failure.
func TestEcho(t *testing.T) {
	n := connected(t, calmFRR(node4.String(), "echo-mode", "echo transmit-interval 150", "echo receive-interval 250")...)
	for _, end := range []struct{ sysctl func(...string) }{
		{func(a ...string) { n.Run(t, append([]string{"sysctl", "-qw"}, a...)...) }},
		{func(a ...string) { n.cable.Run(t, append([]string{"sysctl", "-qw"}, a...)...) }},
	} {
		end.sysctl("net.ipv4.ip_forward=1", "net.ipv4.conf.all.forwarding=1")
	}
	p := calm
	p.Echo = true
	s := open(t, bfd.Key{Remote: frr4}, p)
	got := s.becomes(t, "our echo packets come back", func(st bfd.Status) bool { return isUp(st) && st.Counters.EchoReceived > 5 })
	if got.RemoteEchoInterval != 250*ms || got.EchoTransmitInterval != 250*ms {
		t.Errorf("%+v", got)
	}
	n.shows(t, node4, "our echo interval", func(p peer) bool { return p.Status == "up" && p.RemoteEcho == 200 })
	s.becomes(t, "control packets are slow", func(st bfd.Status) bool { return st.DetectionTime == 6*time.Second })
	n.shows(t, node4, "that, too", func(p peer) bool { return p.RemoteReceive == 1000 })
	if got := s.Status(); got.Counters.DownEvents != 0 || len(got.Notices) != 0 {
		t.Errorf("%+v", got)
	}
	await.Success(t, "FRR's echo packets come back", func() error {
		if c := n.counters(t, node4); c.EchoInput < 5 || c.Downs != 0 {
			return fmt.Errorf("FRR counts %+v", c)
		}
		return nil
	})

	// Echo off and on again, live.
	if err := s.Retune(calm); err != nil {
		t.Fatal(err)
	}
	s.becomes(t, "control packets are fast", func(st bfd.Status) bool { return st.EchoTransmitInterval == 0 && st.DetectionTime == 6*450*ms })
	n.shows(t, node4, "that we want none", func(p peer) bool { return p.Status == "up" && p.RemoteEcho == 0 })
	if err := s.Retune(p); err != nil {
		t.Fatal(err)
	}
	s.becomes(t, "echo packets again", func(st bfd.Status) bool {
		return st.EchoTransmitInterval == 250*ms && st.DetectionTime == 6*time.Second
	})
	if got := s.Status(); got.Counters.DownEvents != 0 {
		t.Errorf("flapped: %+v", got)
	}

	n.Run(t, "nft", "add table netdev t")
	n.Run(t, "nft", "add chain netdev t i { type filter hook ingress device eth0 priority 0; }")
	n.Run(t, "nft", "add rule netdev t i udp dport 3785 drop")
	if st := s.becomes(t, "the loss is noticed", func(st bfd.Status) bool { return st.Counters.DownEvents > 0 }); st.LastDown != bfd.EchoFunctionFailed && st.LastDown != bfd.NeighborSignaledDown {
		t.Errorf("%+v", st)
	}
}

// TestCutLink: detection within the negotiated time. What is measured depends on the machine, and is only logged. FRR is patient
// with us, so that it is we who find out, although the machine may have us send nothing for a while.
func TestCutLink(t *testing.T) {
	for _, test := range []struct {
		name     string
		interval time.Duration
		line     string
	}{{"300 ms x 3", 300 * ms, "300"}, {"50 ms x 3", 50 * ms, "50"}} {
		t.Run(test.name, func(t *testing.T) {
			n := connected(t, "peer "+node4.String(), "receive-interval "+test.line, "transmit-interval "+test.line, "no shutdown")
			s := open(t, bfd.Key{Remote: frr4}, bfd.Parameters{ReceiveInterval: test.interval, TransmitInterval: test.interval, DetectMultiplier: 200})
			s.becomes(t, "session is up and agreed", func(st bfd.Status) bool { return isUp(st) && st.DetectionTime == 3*test.interval })
			told := s.count()
			begun := time.Now()
			n.cut(t)
			done := time.Now()
			var down bfd.Status
			s.becomes(t, "session is down", func(bfd.Status) bool {
				var ok bool
				down, ok = s.first(told, func(st bfd.Status) bool { return st.State == bfd.Down })
				return ok
			})
			if down.Diagnostic != bfd.ControlDetectionTimeExpired || !down.Failed || down.RemoteState != bfd.Up {
				t.Errorf("%+v", down)
			}
			ratio := func(since time.Time) float64 { return float64(down.Since.Sub(since)) / float64(3*test.interval) }
			t.Logf("down %.2f to %.2f detection times after the cut, which took %s itself", ratio(done), ratio(begun), done.Sub(begun))
		})
	}
}
