package agent

import (
	"context"
	"testing"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/boottime"
)

// listener is an announcer that is told how well the centre is heard.
type listener struct {
	*recorder
	centre chan time.Duration
	urgent chan struct{}
}

func (l *listener) Urgent() <-chan struct{} { return l.urgent }

func (l *listener) Centre(began time.Duration) {
	select {
	case l.centre <- began:
	default:
	}
}

func newListener() *listener {
	return &listener{newRecorder(), make(chan time.Duration, 100), make(chan struct{}, 1)}
}

func owned(address string, standbys ...string) *ingotv1.Item {
	return &ingotv1.Item{Id: "layer2/" + address, Digest: "1", Content: &ingotv1.Item_Layer2Address{Layer2Address: &ingotv1.Layer2Address{
		Address: address, Role: ingotv1.Layer2Address_ROLE_OWNER, Term: 1, Owner: "node1", Standbys: standbys,
	}}}
}

// beat sends a heartbeat of the centre and returns the number that the speaker answers with.
func (s *conn) beat(seq, echo uint64) uint64 {
	s.t.Helper()
	s.send(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Heartbeat{Heartbeat: &ingotv1.Heartbeat{Seq: seq, Echo: echo}}})
	return s.hear("a heartbeat", func(m *ingotv1.ConnectRequest) bool { return m.GetHeartbeat() != nil }).GetHeartbeat().GetSeq()
}

func TestTheCentreIsHeardOnceItEchoesAndIsObeyed(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	r := newRig(t, a, c.address)
	r.layer2 = newListener()
	r.start()
	s := c.next().lead("L", 5)

	// It leads, but has ordered nothing: what it knows may be old.
	first := s.beat(1, 0)
	second := s.beat(2, first)
	select {
	case began := <-r.layer2.centre:
		t.Errorf("heard, with a round trip that began at %v, before it was obeyed", began)
	default:
	}

	s.update(&ingotv1.Update{Lane: ingotv1.Lane_LANE_LAYER2, FullBegin: true, FullEnd: true, Upserts: []*ingotv1.Item{owned("192.0.2.1")}})
	heard := func() time.Duration {
		select {
		case began := <-r.layer2.centre:
			return began
		case <-time.After(patience):
			t.Fatal("the centre is not heard")
			return 0
		}
	}
	// One at a time: an echo that comes before the last was taken in counts no more than that one.
	before := boottime.Now()
	third := s.beat(3, second)
	if began := heard(); began >= before {
		t.Errorf("the round trip of the second heartbeat began at %v, after %v", began, before)
	}
	fourth := s.beat(4, third)
	if began := heard(); began < before || began > boottime.Now() {
		t.Errorf("the round trip of the third heartbeat began at %v, before %v", began, before)
	}

	// The same number again is an echo that asks for no answer; the same echo again proves nothing.
	s.send(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Heartbeat{Heartbeat: &ingotv1.Heartbeat{Seq: 4, Echo: fourth}}})
	heard()
	if fifth := s.beat(5, fourth); fifth != fourth+1 {
		t.Errorf("heartbeat %d follows %d", fifth, fourth)
	}
	select {
	case <-r.layer2.centre:
		t.Error("an echo counted twice")
	default:
	}
}

func TestASpeakerThatStopsHasItsAddressesTakenOver(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	r := newRig(t, a, c.address)
	r.layer2 = newListener()
	r.start()
	s := c.next().lead("L", 5)
	s.update(&ingotv1.Update{Lane: ingotv1.Lane_LANE_LAYER2, FullBegin: true, FullEnd: true,
		Upserts: []*ingotv1.Item{owned("192.0.2.1"), owned("192.0.2.2", "node2")}})

	left := make(chan struct{})
	go func() {
		defer close(left)
		r.agent.Leave(t.Context())
	}()
	s.hear("that the speaker is leaving", func(m *ingotv1.ConnectRequest) bool { return m.GetReport().GetLeaving() })
	select {
	case <-left:
		t.Fatal("left before its address was taken over")
	default:
	}
	s.update(&ingotv1.Update{Lane: ingotv1.Lane_LANE_LAYER2, Removals: []*ingotv1.Removal{{Id: "layer2/192.0.2.2", Reason: "moved"}}})
	select {
	case <-left:
	case <-time.After(patience):
		t.Fatal("does not leave, though nobody stands by for what it still owns")
	}
}

func TestASpeakerThatStopsDoesNotWaitForNobody(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	r := newRig(t, a, c.address)
	r.layer2 = newListener()
	r.start()
	s := c.next().lead("L", 5)
	s.update(&ingotv1.Update{Lane: ingotv1.Lane_LANE_LAYER2, FullBegin: true, FullEnd: true, Upserts: []*ingotv1.Item{owned("192.0.2.2", "node2")}})

	// The centre does not answer: the wait is bounded.
	bounded, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r.agent.Leave(bounded)
	if bounded.Err() == nil {
		t.Error("left though the address was not taken over, and there was time")
	}

	// The centre is away: there is nobody to wait for.
	c.server.Stop()
	eventually(t, "the centre is away", func() bool { return !r.agent.Health()["dispatch"] })
	r.agent.Leave(t.Context())
}
