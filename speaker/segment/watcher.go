package segment

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd/shared"
	"github.com/ingot-lb/ingot/speaker/l2/ownership"
	"github.com/ingot-lb/ingot/speaker/links"
)

// Options configure a Watcher.
type Options struct {
	Log *slog.Logger
	// Engine has the BFD sessions. The watcher does not close it.
	Engine *shared.Engine
	// Ask sends one question on a link: whose is target? source is the node's address that asks; if it is not valid, the
	// question comes from no address. It goes to mac alone, to all if mac is zero. It is called without locks of the watcher, from
	// one goroutine, and must not wait long. An error counts as an answer missed.
	Ask func(link string, source, target netip.Addr, mac ownership.MAC) error
	// Changed is called when what is known of a link changed: a peer's state, an answer, a witness. It is called without locks
	// of the watcher, from one goroutine.
	Changed func(link string)
	// Registerer receives the ingot_speaker_segment_… metrics; nil for none.
	Registerer prometheus.Registerer
}

// Watcher listens on the node's segments. Its methods may be called from several goroutines at the same time.
type Watcher struct{ o Options }

// New returns a watcher of nothing.
func New(o Options) *Watcher { return &Watcher{o} }

// Apply makes segments the complete set of those that are listened on; all are the node's links as they are now.
func (w *Watcher) Apply(segments []*ingotv1.Layer2Segment, all []links.Link) {}

// Heard takes in a message of ARP or NDP with a sender, which received says when the kernel had, on CLOCK_BOOTTIME. answer
// says that it answers a question of this node. It is cheap where the sender is nobody who is watched.
func (w *Watcher) Heard(link string, from netip.Addr, mac ownership.MAC, answer bool, received time.Duration) {
}

// Asker takes in that a host asked for an address of ours: it may become a witness.
func (w *Watcher) Asker(link string, from netip.Addr, mac ownership.MAC) {}

// Peer says what is known of another node on a link; the zero Peer of one that is not watched.
func (w *Watcher) Peer(link, node string) Peer { return Peer{} }

// Node returns the name of the node that has a hardware address, if it is one of those that are watched on the link.
func (w *Watcher) Node(link string, mac ownership.MAC) (node string, ok bool) { return "", false }

// Witness says whether the witnesses of a link are heard.
func (w *Watcher) Witness(link string) Hearing { return None }

// Verify has the witnesses of a link asked now. If they answer, Witness says so a round trip later.
func (w *Watcher) Verify(link string) {}

// Evidence returns when the link was last seen to work both ways, on CLOCK_BOOTTIME: a packet came by a BFD session that is
// up, or a witness answered. It does not wait.
func (w *Watcher) Evidence(link string) (boottime time.Duration) { return 0 }

// Run asks, and tells what changed, until ctx ends. Then the peers are told that BFD ends on purpose.
func (w *Watcher) Run(ctx context.Context) { <-ctx.Done() }

// Report adds what is known of the segments to r.
func (w *Watcher) Report(r *ingotv1.Report) {}
