package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const routing = ingotv1.Lane_LANE_ROUTING

func TestUpdateIsAppliedAndAcknowledgedItemByItem(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	r := newRig(t, a, c.address).start()
	s := c.next().lead("L", 5)
	wantHello := &ingotv1.Hello{
		Node: "node1", Instance: r.agent.instance, Version: "v1", BootId: "boot1",
		Features: []string{"bgp_session", "bgp_route", "layer2_address", "bgp_guard", "layer2_segment"},
	}
	if diff := cmp.Diff(wantHello, s.hello, protocmp.Transform()); diff != "" {
		t.Errorf("hello (-want +got):\n%s", diff)
	}

	s.full(route("r1", "1"), route("r2", "1"))
	r.routes.verdict = func(i *ingotv1.Item) (ingotv1.ItemResult_Status, string) {
		if i.GetDigest() == "bad" {
			return ingotv1.ItemResult_STATUS_REJECTED, "no such thing"
		}
		return ingotv1.ItemResult_STATUS_APPLIED, ""
	}
	got := s.update(&ingotv1.Update{Lane: routing, Revision: 8, Upserts: []*ingotv1.Item{route("r2", "bad"), route("r3", "1")},
		Removals: []*ingotv1.Removal{{Id: "r1", Reason: "service deleted"}}})

	want := &ingotv1.Ack{
		Lane: routing, Nonce: 2, Lineage: "L", Epoch: 5, Revision: 8,
		Results: []*ingotv1.ItemResult{
			{Id: "r2", Digest: "bad", Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: "no such thing"},
			{Id: "r3", Digest: "1", Status: ingotv1.ItemResult_STATUS_APPLIED},
			{Id: "r1", Digest: "1", Status: ingotv1.ItemResult_STATUS_REMOVED},
		},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("ack (-want +got):\n%s", diff)
	}
	r.routes.holds(t, "r2@bad", "r3@1")
}

func TestRestartWithTheCentreAwayAnnouncesAllAgain(t *testing.T) {
	a := newAuthority(t)
	// An address of its own: on the usual one, others may get the port while nobody listens.
	host := fmt.Sprintf("127.%d.%d.73", 1+os.Getpid()>>8&0x7f, os.Getpid()&0xff)
	c := startCentre(t, a, host+":0")
	r := newRig(t, a, "centre.example:"+strings.Split(c.address, ":")[1])
	r.opts.resolve = func(context.Context, string) ([]string, error) { return []string{host}, nil }
	r.start()
	c.next().lead("L", 5).full(route("r1", "1"), route("r2", "1"))
	r.stop()
	c.server.Stop()

	// Neither the centre nor the DNS is there when the speaker starts again.
	r.opts.resolve = func(context.Context, string) ([]string, error) { return nil, errors.New("no DNS") }
	r.start()
	<-r.routes.applies
	r.routes.holds(t, "r1@1+", "r2@1+")
	if !r.agent.Ready() {
		t.Error("not ready although everything is announced")
	}

	// The centre is back where it was: found without DNS, told what is held, it sends only the difference.
	s := startCentre(t, a, c.address).next().lead("L", 6)
	want := []*ingotv1.HeldItem{
		{Lane: routing, Id: "r1", Digest: "1", Status: ingotv1.ItemResult_STATUS_APPLIED},
		{Lane: routing, Id: "r2", Digest: "1", Status: ingotv1.ItemResult_STATUS_APPLIED},
	}
	if diff := cmp.Diff(want, s.hello.GetHeld(), protocmp.Transform()); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	s.update(&ingotv1.Update{Lane: routing, FullBegin: true, FullEnd: true, Kept: []string{"r1", "r2"}, Upserts: []*ingotv1.Item{route("r3", "1")}})
	r.routes.holds(t, "r1@1", "r2@1", "r3@1")
}

func TestUnusableSavedStateIsIgnoredLoudly(t *testing.T) {
	a := newAuthority(t)
	for name, spoil := range map[string]func(r *rig){
		"damaged":         func(r *rig) { check(t, os.WriteFile(r.opts.StateDir+"/state", []byte("nonsense"), 0o600)) },
		"of another node": func(r *rig) { r.opts.Node = "node2" },
		"of another boot": func(r *rig) { r.opts.BootID = "boot2" },
	} {
		t.Run(name, func(t *testing.T) {
			c := startCentre(t, a, "")
			r := newRig(t, a, c.address).start()
			c.next().lead("L", 5).full(route("r1", "1"))
			r.stop()
			spoil(r)

			r.start()
			s := c.next()
			if len(s.hello.GetHeld()) != 0 || s.hello.GetLineage() != "" {
				t.Errorf("hello after a spoilt state: %v", s.hello)
			}
			if r.log.count("savedStateIgnored") != 1 {
				t.Error("the log does not say that the state was ignored")
			}
		})
	}
}

func TestRefusalsChangeNothing(t *testing.T) {
	var twenty []*ingotv1.Item
	for i := range 20 {
		twenty = append(twenty, route(fmt.Sprintf("r%02d", i), "1"))
	}
	tests := []struct {
		name   string
		update *ingotv1.Update
		want   ingotv1.Refusal
	}{
		{"foreign lineage", &ingotv1.Update{Lineage: "M", FullBegin: true, FullEnd: true}, ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE},
		{"old epoch", &ingotv1.Update{Epoch: 4, FullBegin: true, FullEnd: true}, ingotv1.Refusal_REFUSAL_OLD_EPOCH},
		{"an empty full state", &ingotv1.Update{FullBegin: true, FullEnd: true}, ingotv1.Refusal_REFUSAL_HELD_BACK},
		{"a nonce out of order", &ingotv1.Update{Nonce: 9}, ingotv1.Refusal_REFUSAL_PROTOCOL},
		{"an end without a begin", &ingotv1.Update{FullEnd: true}, ingotv1.Refusal_REFUSAL_PROTOCOL},
		{"kept what is not there", &ingotv1.Update{FullBegin: true, FullEnd: true, Kept: []string{"x"}}, ingotv1.Refusal_REFUSAL_PROTOCOL},
		{"kept outside a full state", &ingotv1.Update{Kept: []string{"r01"}}, ingotv1.Refusal_REFUSAL_PROTOCOL},
	}
	a := newAuthority(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := startCentre(t, a, "")
			r := newRig(t, a, c.address).start()
			s := c.next().lead("L", 5)
			s.full(twenty...)
			tt.update.Lane = routing

			ack := s.update(tt.update)
			if ack.GetRefusal() != tt.want || ack.GetMessage() == "" {
				t.Errorf("ack %v, want %v with a message", ack, tt.want)
			}
			if ack.GetLineage() != "L" || ack.GetEpoch() != 5 {
				t.Errorf("ack says that %q, %d is obeyed", ack.GetLineage(), ack.GetEpoch())
			}
			if got := len(r.routes.items); got != 20 {
				t.Errorf("%d items announced, want 20", got)
			}
			if st := r.agent.State(); st.GetRefusing() != ack.GetMessage() {
				t.Errorf("state says refusing %q, want %q", st.GetRefusing(), ack.GetMessage())
			}
			stale := strings.NewReader("# HELP metallb_k8s_client_config_stale_bool 1 if running on an old state, because the centre's latest was refused.\n# TYPE metallb_k8s_client_config_stale_bool gauge\nmetallb_k8s_client_config_stale_bool 1\n")
			if err := testutil.GatherAndCompare(r.registry, stale, "metallb_k8s_client_config_stale_bool"); err != nil {
				t.Error(err)
			}
			if got := r.log.count(`"event":"centreRefused"`); got != 1 {
				t.Errorf("%d log lines about the refusal, want 1", got)
			}
		})
	}
}

func TestOnlyTheLeaderIsObeyedAndAllAreTold(t *testing.T) {
	a := newAuthority(t)
	one, two := startCentre(t, a, ""), startCentre(t, a, "")
	r := newRig(t, a, one.address, two.address).start()
	s1, s2 := one.next().lead("L", 5), two.next()
	s2.welcome(&ingotv1.Welcome{Replica: "replica-2", Lineage: "L"})

	s1.full(route("r1", "1"))
	s2.hear("what became of r1", func(m *ingotv1.ConnectRequest) bool {
		rs := m.GetReport().GetResults()
		return len(rs) == 1 && rs[0].GetId() == "r1" && rs[0].GetStatus() == ingotv1.ItemResult_STATUS_APPLIED
	})
	s2.lineage, s2.epoch = "L", 6
	if ack := s2.full(route("r2", "1")); ack.GetRefusal() != ingotv1.Refusal_REFUSAL_PROTOCOL {
		t.Errorf("a replica that does not lead was answered %v", ack)
	}

	// The other takes over on the stream it has.
	s2.lead("L", 6)
	if ack := s2.full(route("r1", "1"), route("r2", "1")); ack.GetRefusal() != 0 {
		t.Errorf("the new leader was answered %v", ack)
	}
	if ack := s1.update(&ingotv1.Update{Lane: routing, Removals: []*ingotv1.Removal{{Id: "r1"}}}); ack.GetRefusal() != ingotv1.Refusal_REFUSAL_OLD_EPOCH {
		t.Errorf("the old leader was answered %v", ack)
	}
	r.routes.holds(t, "r1@1", "r2@1")
	if st := r.agent.State(); st.GetRefusing() != "" || !r.agent.Health()["dispatch"] {
		t.Errorf("the new leader is obeyed, but: %v", st)
	}
	for _, stream := range r.agent.State().GetStreams() {
		if leads := stream.GetEndpoint() == two.address; stream.GetLeading() != leads {
			t.Errorf("%s is shown as leading: %t, want %t", stream.GetEndpoint(), stream.GetLeading(), leads)
		}
	}
}

func TestAnnouncedMetricAndLogFollowTheItems(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	r := newRig(t, a, c.address).start()
	s := c.next().lead("L", 5)
	s.full(route("192.0.2.1/32", "1", "web"), route("192.0.2.2/32", "1", "other"))
	want := `# HELP metallb_speaker_announced Services being announced from this node. This is desired state, it does not guarantee that the routing protocols have converged.
# TYPE metallb_speaker_announced gauge
metallb_speaker_announced{ip="192.0.2.1",node="node1",protocol="bgp",service="default/web"} 1
metallb_speaker_announced{ip="192.0.2.2",node="node1",protocol="bgp",service="default/other"} 1
`
	if err := testutil.GatherAndCompare(r.registry, strings.NewReader(want), "metallb_speaker_announced"); err != nil {
		t.Error(err)
	}
	s.update(&ingotv1.Update{Lane: routing, Removals: []*ingotv1.Removal{{Id: "192.0.2.2/32", Reason: "serviceDeleted: service default/other deleted"}}})
	if n := r.log.count(`"event":"serviceAnnounced"`); n != 2 {
		t.Errorf("%d announcements in the log, want 2", n)
	}
	if n := r.log.count(`"event":"serviceWithdrawn","service":"default/other","ip":"192.0.2.2","protocol":"bgp","reason":"serviceDeleted","detail":"service default/other deleted"`); n != 1 {
		t.Errorf("%d withdrawals in the log, want 1", n)
	}
	if n, err := testutil.GatherAndCount(r.registry, "metallb_speaker_announced"); n != 1 || err != nil {
		t.Errorf("%d announced, %v, want 1", n, err)
	}
}

func TestLaneWithoutAnnouncerIsRejected(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	newRig(t, a, c.address).start()
	address := &ingotv1.Item{Id: "a", Digest: "1", Content: &ingotv1.Item_Layer2Address{Layer2Address: &ingotv1.Layer2Address{Address: "192.0.2.1"}}}
	ack := c.next().lead("L", 5).update(&ingotv1.Update{Lane: ingotv1.Lane_LANE_LAYER2, FullBegin: true, FullEnd: true, Upserts: []*ingotv1.Item{address}})
	want := []*ingotv1.ItemResult{{Id: "a", Digest: "1", Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: "this speaker does not serve layer2"}}
	if diff := cmp.Diff(want, ack.GetResults(), protocmp.Transform()); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestStoppingLeavesNoGoroutine(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	before := runtime.NumGoroutine()
	r := newRig(t, a, c.address, "127.0.0.1:1").start()
	c.next().lead("L", 5).full(route("r1", "1"))
	r.stop()
	eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, opts := range map[string]Options{
		"no node":      {Endpoints: []string{"a:1"}},
		"no endpoint":  {Node: "n"},
		"no port":      {Node: "n", Endpoints: []string{"a"}},
		"no host":      {Node: "n", Endpoints: []string{":1"}},
		"port too big": {Node: "n", Endpoints: []string{"a:70000"}},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
