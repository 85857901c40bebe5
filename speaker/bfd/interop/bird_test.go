package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/bird"
	"github.com/ingot-lb/ingot/test/netns"
)

// birdBeyond starts BIRD at the other end of a cable, with these options for its sessions and one for each address of ours.
func birdBeyond(t *testing.T, options string) *bird.Router {
	t.Helper()
	here, there := netns.Here(t), netns.New(t, "bird")
	netns.Cable(t, here, "eth1", []string{node4.String() + "/24", node6.String() + "/64"},
		there, "eth0", []string{frr4.String() + "/24", frr6.String() + "/64"})
	t.Cleanup(func() { here.Run(t, "ip", "link", "del", "eth1") })
	return bird.Start(t, there, birdConfig(options))
}

func birdConfig(options string) string {
	return fmt.Sprintf(`
router id 192.0.2.1;
protocol device { }
protocol bfd {
	accept direct;
	interface "eth0" { %s };
	neighbor %s dev "eth0";
	neighbor %s dev "eth0";
}
`, options, node4, node6)
}

// birdShows waits until BIRD shows a session with an address of ours in a line that has these words.
func birdShows(t *testing.T, b *bird.Router, address netip.Addr, words ...string) {
	t.Helper()
	await.Success(t, "BIRD shows the session", func() error {
		out, err := b.Ask("show", "bfd", "sessions")
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			if fields := strings.Fields(line); len(fields) > 0 && fields[0] == address.String() {
				for _, w := range words {
					if !strings.Contains(line, w) {
						return fmt.Errorf("no %q in %s", w, line)
					}
				}
				return nil
			}
		}
		return fmt.Errorf("no session with %s in %s", address, out)
	})
}

// TestBIRD: up over both families, and parameters changed on either side without a flap.
func TestBIRD(t *testing.T) {
	b := birdBeyond(t, "min rx interval 350 ms; min tx interval 450 ms; multiplier 30;")
	for remote, ours := range map[netip.Addr]netip.Addr{frr4: node4, frr6: node6} {
		s := open(t, bfd.Key{Remote: remote}, calm)
		s.becomes(t, "session is up and agreed", func(st bfd.Status) bool {
			return isUp(st) && st.TransmitInterval == 350*ms && st.DetectionTime == 30*450*ms && st.RemoteDetectMultiplier == 30
		})
		birdShows(t, b, ours, "Up", "0.450", "10.500") // 30 packets of ours, 350 ms apart

		slow := calm
		slow.ReceiveInterval, slow.TransmitInterval, slow.DetectMultiplier = 1000*ms, 800*ms, 40
		if err := s.Retune(slow); err != nil {
			t.Fatal(err)
		}
		birdShows(t, b, ours, "Up", "1.000", "32.000")
		s.becomes(t, "detection time is longer", func(st bfd.Status) bool { return st.DetectionTime == 30*1000*ms })

		b.Configure(t, birdConfig("min rx interval 1100 ms; min tx interval 1300 ms; multiplier 20;"))
		s.becomes(t, "BIRD's new parameters hold", func(st bfd.Status) bool {
			return st.TransmitInterval == 1100*ms && st.DetectionTime == 20*1300*ms
		})
		b.Configure(t, birdConfig("min rx interval 350 ms; min tx interval 450 ms; multiplier 30;"))
		if st := s.Status(); st.Counters.UpEvents != 1 || st.Counters.DownEvents != 0 {
			t.Errorf("the session flapped: %+v", st)
		}
		s.Close()
	}
}

// TestBIRDPassive: either end waits for the other.
func TestBIRDPassive(t *testing.T) {
	passive := calm
	passive.Passive = true
	for name, test := range map[string]struct {
		ours   bfd.Parameters
		option string
	}{"we": {passive, ""}, "BIRD": {calm, "passive on;"}} {
		t.Run(name, func(t *testing.T) {
			b := birdBeyond(t, "interval 300 ms; "+test.option)
			open(t, bfd.Key{Remote: frr4}, test.ours).becomes(t, "session is up", isUp)
			birdShows(t, b, node4, "Up")
		})
	}
}

// TestBIRDWithAuthentication: there is no session, and it is said why.
func TestBIRDWithAuthentication(t *testing.T) {
	for _, kind := range []string{"simple", "keyed md5", "keyed sha1", "meticulous keyed md5", "meticulous keyed sha1"} {
		t.Run(kind, func(t *testing.T) {
			birdBeyond(t, "interval 300 ms; authentication "+kind+`; password "secret";`)
			s := open(t, bfd.Key{Remote: frr4}, calm)
			st := s.becomes(t, "notice is there", func(st bfd.Status) bool {
				return strings.Contains(strings.Join(st.Notices, "\n"), "authenticated")
			})
			if st.State != bfd.Down {
				t.Errorf("%+v", st)
			}
		})
	}
}
