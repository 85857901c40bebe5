package desired

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	routing = ingotv1.Lane_LANE_ROUTING
	layer2  = ingotv1.Lane_LANE_LAYER2
)

// script drives a State the way streams do, and reads like what happened.
type script struct {
	t     *testing.T
	state *State
}

func newScript(t *testing.T) *script { return &script{t: t, state: New()} }

// replica is one stream in a script.
type replica struct {
	*script
	r       *Replica
	lineage string
	epoch   uint64
	nonce   map[ingotv1.Lane]uint64
}

// leads opens a stream to a replica that leads.
func (s *script) leads(name, lineage string, epoch uint64) *replica {
	p := &replica{script: s, r: NewReplica(), lineage: lineage, epoch: epoch, nonce: map[ingotv1.Lane]uint64{}}
	s.state.Hello(p.r, &ingotv1.Hello{})
	s.state.Welcome(p.r, &ingotv1.Welcome{Replica: name, Lineage: lineage, Epoch: epoch, Leading: true})
	return p
}

type option func(*ingotv1.Update)

func upsert(items ...*ingotv1.Item) option {
	return func(u *ingotv1.Update) { u.Upserts = append(u.Upserts, items...) }
}
func kept(ids ...string) option { return func(u *ingotv1.Update) { u.Kept = append(u.Kept, ids...) } }
func remove(ids ...string) option {
	return func(u *ingotv1.Update) {
		for _, id := range ids {
			u.Removals = append(u.Removals, &ingotv1.Removal{Id: id, Reason: "deleted"})
		}
	}
}
func begin(u *ingotv1.Update)   { u.FullBegin = true }
func end(u *ingotv1.Update)     { u.FullEnd = true }
func full(u *ingotv1.Update)    { u.FullBegin, u.FullEnd = true, true }
func nonce(n uint64) option     { return func(u *ingotv1.Update) { u.Nonce = n } }
func revision(n int64) option   { return func(u *ingotv1.Update) { u.Revision = n } }
func lineageIs(l string) option { return func(u *ingotv1.Update) { u.Lineage = l } }
func epochIs(e uint64) option   { return func(u *ingotv1.Update) { u.Epoch = e } }
func adopt(at uint64, over ...string) option {
	return func(u *ingotv1.Update) { u.Adoption, u.Supersedes = at, over }
}

// said is the answer to an update.
type said struct {
	*script
	Outcome
}

func (p *replica) update(lane ingotv1.Lane, options ...option) said {
	p.t.Helper()
	p.nonce[lane]++
	u := &ingotv1.Update{Lane: lane, Nonce: p.nonce[lane], Lineage: p.lineage, Epoch: p.epoch}
	for _, o := range options {
		o(u)
	}
	p.nonce[lane] = u.GetNonce()
	out := p.state.Apply(p.r, u)
	if out.Committed {
		p.state.Record(lane, applied(p.state.Items(lane)))
		out.Ack.Results = p.state.Results(out, nil)
	}
	return said{p.script, out}
}

func (s said) obeyed() {
	s.t.Helper()
	if s.Refused() {
		s.t.Fatalf("refused (%v): %s", s.Ack.GetRefusal(), s.Ack.GetMessage())
	}
}

func (s said) refused(want ingotv1.Refusal) {
	s.t.Helper()
	if got := s.Ack.GetRefusal(); got != want {
		s.t.Fatalf("refusal %v (%s), want %v", got, s.Ack.GetMessage(), want)
	}
	if s.Ack.GetMessage() == "" || len(s.Ack.GetResults()) > 0 {
		s.t.Fatalf("a refusal explains itself and has no results: %v", s.Ack)
	}
}

// holds checks the ids and digests of a lane, written ID@DIGEST.
func (s *script) holds(lane ingotv1.Lane, want ...string) {
	s.t.Helper()
	got := []string{}
	for _, h := range s.state.Held(lane) {
		got = append(got, h.Item.GetId()+"@"+h.Item.GetDigest())
	}
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), got); diff != "" {
		s.t.Fatalf("held in %v (-want +got):\n%s", lane, diff)
	}
}

func (s *script) count(lane ingotv1.Lane, want int) {
	s.t.Helper()
	if got := len(s.state.Held(lane)); got != want {
		s.t.Fatalf("%d items in %v, want %d", got, lane, want)
	}
}

// route is an item of the routing lane, address one of the other.
func route(id, digest string) *ingotv1.Item {
	return &ingotv1.Item{Id: id, Digest: digest, Content: &ingotv1.Item_BgpRoute{BgpRoute: &ingotv1.BgpRoute{Prefix: id}}}
}

func address(id, digest string) *ingotv1.Item {
	return &ingotv1.Item{Id: id, Digest: digest, Content: &ingotv1.Item_Layer2Address{Layer2Address: &ingotv1.Layer2Address{Address: id}}}
}

// routes returns n of them: r01@1, r02@1, …
func routes(n int) []*ingotv1.Item {
	var out []*ingotv1.Item
	for i := range n {
		out = append(out, route(fmt.Sprintf("r%02d", i+1), "1"))
	}
	return out
}

func ids(items []*ingotv1.Item) []string {
	var out []string
	for _, i := range items {
		out = append(out, i.GetId())
	}
	return out
}

func applied(items []*ingotv1.Item) []*ingotv1.ItemResult {
	var out []*ingotv1.ItemResult
	for _, i := range items {
		out = append(out, &ingotv1.ItemResult{Id: i.GetId(), Digest: i.GetDigest(), Status: ingotv1.ItemResult_STATUS_APPLIED})
	}
	return out
}
