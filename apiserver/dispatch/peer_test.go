package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// peer is a speaker's end of a stream, played by a test. It answers heartbeats by itself.
type peer struct {
	t      *testing.T
	node   string
	stream ingotv1.Dispatch_ConnectClient
	in     chan *ingotv1.ConnectResponse // all but heartbeats
	beats  chan uint64
	failed chan error
	cancel context.CancelFunc
	mu     sync.Mutex // of Send
	// epoch is that of the last welcome read; whole is the one of which a full state was read last, by lane.
	epoch uint64
	whole map[ingotv1.Lane]uint64
}

// connect opens a stream for a node with its own token.
func (c *centre) connect(hello *ingotv1.Hello) *peer {
	c.t.Helper()
	return c.dial("token of "+hello.GetNode(), hello)
}

func (c *centre) dial(token string, hello *ingotv1.Hello) *peer {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.t.Context()))
	c.t.Cleanup(cancel)
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := ingotv1.NewDispatchClient(c.conn).Connect(ctx, grpc.WaitForReady(true))
	if err != nil {
		c.t.Fatal(err)
	}
	p := &peer{t: c.t, node: hello.GetNode(), stream: stream, cancel: cancel, whole: map[ingotv1.Lane]uint64{},
		in: make(chan *ingotv1.ConnectResponse, 1000), beats: make(chan uint64, 1000), failed: make(chan error, 1)}
	go p.receive()
	p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Hello{Hello: hello}})
	return p
}

func (p *peer) receive() {
	for {
		m, err := p.stream.Recv()
		if err != nil {
			p.failed <- err
			return
		}
		if beat := m.GetHeartbeat(); beat != nil {
			p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Heartbeat{Heartbeat: &ingotv1.Heartbeat{Echo: beat.GetSeq()}}})
			p.beats <- beat.GetSeq()
			continue
		}
		p.in <- m
	}
}

// send sends a message; that the stream is over is the receiver's to say.
func (p *peer) send(m *ingotv1.ConnectRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.stream.Send(m); err != nil && !errors.Is(err, io.EOF) && p.stream.Context().Err() == nil {
		p.t.Errorf("send: %v", err)
	}
}

func (p *peer) next() *ingotv1.ConnectResponse {
	p.t.Helper()
	select {
	case m := <-p.in:
		p.read(m)
		return m
	case err := <-p.failed:
		p.t.Fatalf("%s: the stream ended: %v", p.node, err)
	case <-time.After(patience):
		p.t.Fatalf("%s: nothing came", p.node)
	}
	return nil
}

// read notes how far the centre is.
func (p *peer) read(m *ingotv1.ConnectResponse) {
	if w := m.GetWelcome(); w != nil {
		p.epoch = w.GetEpoch()
	}
	if u := m.GetUpdate(); u.GetFullEnd() {
		p.whole[u.GetLane()] = u.GetEpoch()
	}
}

func (p *peer) welcome() *ingotv1.Welcome {
	p.t.Helper()
	m := p.next()
	if m.GetWelcome() == nil {
		p.t.Fatalf("%s: got %v, want a welcome", p.node, m)
	}
	return m.GetWelcome()
}

// update returns the next update of a lane; updates of the other are acknowledged on the way.
func (p *peer) update(lane ingotv1.Lane) *ingotv1.Update {
	p.t.Helper()
	for {
		m := p.next()
		u := m.GetUpdate()
		switch {
		case u == nil:
			p.t.Fatalf("%s: got %v, want an update", p.node, m)
		case u.GetLane() == lane:
			return u
		}
		p.ack(applied(u))
	}
}

// given returns the next update that gives the node an address in a role; others are acknowledged on the way.
func (p *peer) given(address string, role ingotv1.Layer2Address_Role) (*ingotv1.Update, *ingotv1.Layer2Address) {
	p.t.Helper()
	for {
		u := p.update(layer2Lane)
		if l2 := addressIn(u, address); l2 != nil && l2.GetRole() == role {
			return u, l2
		}
		p.ack(applied(u))
	}
}

// taken returns the next update that takes an address from the node, and why; others are acknowledged on the way.
func (p *peer) taken(address string) (*ingotv1.Update, string) {
	p.t.Helper()
	for {
		u := p.update(layer2Lane)
		for _, r := range u.GetRemovals() {
			if r.GetId() == "layer2/"+address {
				return u, r.GetReason()
			}
		}
		p.ack(applied(u))
	}
}

// deposed returns the next welcome, which must say that the replica does not lead; updates are acknowledged on the way.
func (p *peer) deposed() *ingotv1.Welcome {
	p.t.Helper()
	for {
		m := p.next()
		if u := m.GetUpdate(); u != nil {
			p.ack(applied(u))
			continue
		}
		if w := m.GetWelcome(); w == nil || w.GetLeading() {
			p.t.Fatalf("%s: got %v, want a welcome of one that does not lead", p.node, m)
		}
		return m.GetWelcome()
	}
}

func (p *peer) ack(ack *ingotv1.Ack) {
	p.send(&ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Ack{Ack: ack}})
}

// end waits for the stream to end, and returns why.
func (p *peer) end() error {
	p.t.Helper()
	for {
		select {
		case <-p.in:
		case err := <-p.failed:
			return err
		case <-time.After(patience):
			p.t.Fatalf("%s: the stream goes on", p.node)
		}
	}
}

// silence fails if anything but heartbeats comes until two more of these came.
func (p *peer) silence() {
	p.t.Helper()
	for len(p.beats) > 0 {
		<-p.beats
	}
	for range 2 {
		select {
		case m := <-p.in:
			p.t.Fatalf("%s: got %v, want silence", p.node, m)
		case err := <-p.failed:
			p.t.Fatalf("%s: the stream ended: %v", p.node, err)
		case <-p.beats:
		case <-time.After(patience):
			p.t.Fatalf("%s: not even a heartbeat", p.node)
		}
	}
}

// obey acknowledges what comes until it has the full state of both lanes and nothing comes any more but heartbeats.
func (p *peer) obey() {
	p.t.Helper()
	p.idle(func(*ingotv1.Update) {})
}

// idle is obey that has a look at each update.
func (p *peer) idle(look func(*ingotv1.Update)) {
	p.t.Helper()
	for len(p.beats) > 0 {
		<-p.beats
	}
	for quiet := 0; quiet < 2; {
		select {
		case m := <-p.in:
			p.read(m)
			if u := m.GetUpdate(); u != nil {
				look(u)
				p.ack(applied(u))
			}
			quiet = 0
		case err := <-p.failed:
			p.t.Fatalf("%s: the stream ended: %v", p.node, err)
		case <-p.beats:
			if p.whole[routing] == p.epoch && p.whole[layer2Lane] == p.epoch {
				quiet++
			}
		case <-time.After(patience):
			p.t.Fatalf("%s: not even a heartbeat", p.node)
		}
	}
}

func hello(node string, held ...*ingotv1.HeldItem) *ingotv1.Hello {
	return &ingotv1.Hello{Node: node, Instance: "instance of " + node, Lineage: "ours", Held: held}
}

// holding is what a speaker says that it took an update.
func heldOf(u *ingotv1.Update) (held []*ingotv1.HeldItem) {
	for _, item := range u.GetUpserts() {
		held = append(held, &ingotv1.HeldItem{
			Lane: u.GetLane(), Id: item.GetId(), Digest: item.GetDigest(), Status: ingotv1.ItemResult_STATUS_APPLIED,
			Term: item.GetLayer2Address().GetTerm(), Role: item.GetLayer2Address().GetRole(),
		})
	}
	return held
}

// names are the ids that an update names, without digests.
func names(u *ingotv1.Update) string {
	var words []string
	for _, item := range u.GetUpserts() {
		words = append(words, "+"+item.GetId())
	}
	for _, id := range u.GetKept() {
		words = append(words, "="+id)
	}
	for _, r := range u.GetRemovals() {
		words = append(words, fmt.Sprintf("-%s (%s)", r.GetId(), r.GetReason()))
	}
	return strings.Join(words, " ")
}
