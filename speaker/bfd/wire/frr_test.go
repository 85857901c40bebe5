package wire

import (
	"fmt"
	"testing"

	"github.com/ingot-lb/ingot/speaker/bfd"
	"github.com/ingot-lb/ingot/test/frr"
	"github.com/ingot-lb/ingot/test/netns"
)

// neighbour is a bfdd in a namespace.
type neighbour struct{ *frr.Router }

// startFRR runs FRR with sessions: with the keys of its end, over the interface eth0.
func startFRR(t testing.TB, n netns.Namespace, keys []bfd.Key, p bfd.Parameters) neighbour {
	t.Helper()
	config := "bfd\n"
	for _, k := range keys {
		config += fmt.Sprintf(" peer %s local-address %s interface eth0\n  detect-multiplier %d\n  receive-interval %d\n  transmit-interval %d\n exit\n",
			k.Remote, k.Local, p.DetectMultiplier, p.ReceiveInterval.Milliseconds(), p.TransmitInterval.Milliseconds())
	}
	r := neighbour{frr.Start(t, n, config, "bfdd")}
	r.Hasten(t)
	return r
}

// tally returns how many of FRR's sessions are up, and how often any went down.
func (n neighbour) tally(t testing.TB) (got tally) {
	t.Helper()
	var peers []struct {
		Status string `json:"status"`
	}
	var counters []struct {
		Down int `json:"session-down"`
	}
	if err := n.Show(&peers, "show bfd peers json"); err != nil {
		t.Fatal(err)
	}
	if err := n.Show(&counters, "show bfd peers counters json"); err != nil {
		t.Fatal(err)
	}
	for i, p := range peers {
		if p.Status == "up" {
			got.Up++
		}
		got.Downs += counters[i].Down
	}
	return got
}
