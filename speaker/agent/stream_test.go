package agent

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func TestHeartbeatsAreEchoedAtOnce(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	newRig(t, a, c.address).start()
	s := c.next().lead("L", 5)
	for seq := range uint64(3) {
		s.send(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Heartbeat{Heartbeat: &ingotv1.Heartbeat{Seq: 10 + seq}}})
		got := s.hear("the echo", func(m *ingotv1.ConnectRequest) bool { return m.GetHeartbeat() != nil }).GetHeartbeat()
		if want := (&ingotv1.Heartbeat{Seq: 1 + seq, Echo: 10 + seq}); cmp.Diff(want, got, protocmp.Transform()) != "" {
			t.Errorf("echo %v, want %v", got, want)
		}
	}
}

func TestSilentStreamIsDialledAgain(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	r := newRig(t, a, c.address)
	r.opts.timing.silence = 300 * time.Millisecond
	r.start()
	// A speaker that was not welcomed in time, because this process had none, left and comes again.
	welcomed := func(heartbeat uint32) *conn {
		t.Helper()
		for {
			s := c.next()
			welcome := &ingotv1.Welcome{Replica: "replica-1", Lineage: "L", HeartbeatIntervalMs: heartbeat}
			if s.rpc.Send(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Welcome{Welcome: welcome}}) != nil {
				continue
			}
			taken := false
			eventually(t, "the welcome is taken, or was too late", func() bool {
				taken = slices.ContainsFunc(r.agent.State().GetStreams(), (*ingotv1.StreamState).GetConnected)
				return taken || s.rpc.Context().Err() != nil
			})
			if taken {
				return s
			}
		}
	}
	welcomed(10).ended()
	c.next()
	if r.log.count(errSilent.Error()) == 0 {
		t.Error("the log does not say why")
	}

	// One that promises no heartbeats may be silent.
	quiet := welcomed(0)
	select {
	case <-quiet.gone:
		t.Error("left a stream that promised no heartbeats")
	case <-time.After(2 * r.opts.timing.silence):
	}
}

func TestWrongTokenIsSaidOnceAndMendedByTheNextOne(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	r := newRig(t, a, c.address)
	check(t, os.WriteFile(r.opts.TokenFile, []byte("wrong"), 0o600))
	r.start()
	eventually(t, "several attempts", func() bool {
		n, err := testutil.GatherAndCount(r.registry, "grpc_client_started_total")
		return err == nil && n > 0 && started(t, r) > 3
	})
	if got := r.log.count("does not admit this speaker"); got != 1 {
		t.Errorf("%d log lines about the token, want 1", got)
	}
	if st := r.agent.State(); len(st.GetStreams()) != 1 || !strings.Contains(st.GetStreams()[0].GetLastError(), "not the right one") {
		t.Errorf("the state does not say why: %v", st)
	}
	if r.log.count("wrong\"") > 0 {
		t.Error("the token is in the log")
	}

	check(t, os.WriteFile(r.opts.TokenFile, []byte(goodToken), 0o600))
	c.next()
}

func TestCentreWithoutOurCertificateIsNotTrusted(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	c := startCentre(t, theirs, "")
	r := newRig(t, ours, c.address).start()
	eventually(t, "the reason", func() bool { return r.log.count("x509") > 0 })
	for _, want := range []string{"the server shows a certificate for " + serverName, "issued by", "which should be signed by the CA"} {
		if r.log.count(want) == 0 {
			t.Errorf("the log does not say %q", want)
		}
	}

	// The CA is read for each connection.
	pem, err := os.ReadFile(theirs.caFile)
	check(t, err)
	check(t, os.WriteFile(ours.caFile, pem, 0o600))
	c.next()
}

func TestCAMayComeIntoBeingLater(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	pem, err := os.ReadFile(a.caFile)
	check(t, err)
	check(t, os.Remove(a.caFile))
	r := newRig(t, a, c.address).start()
	eventually(t, "the reason", func() bool { return r.log.count("the centre's CA") > 0 })
	check(t, os.WriteFile(a.caFile, pem, 0o600))
	c.next()
}

func TestDrainConnectsAgain(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	newRig(t, a, c.address).start()
	s := c.next().lead("L", 5)
	s.send(&ingotv1.ConnectResponse{Message: &ingotv1.ConnectResponse_Drain{Drain: &ingotv1.Drain{Reason: "restart"}}})
	s.ended()
	c.next()
}

// Two names for one replica: the second stream supersedes the first, which must not supersede it in turn.
func TestTwoAddressesOfOneReplicaSettleOnOneStream(t *testing.T) {
	a := newAuthority(t)
	one, two := startCentre(t, a, ""), startCentre(t, a, "")
	r := newRig(t, a, one.address, two.address).start()
	s1, s2 := one.next().lead("L", 5), two.next().lead("L", 5)
	eventually(t, "both are known", func() bool {
		return !slices.ContainsFunc(r.agent.State().GetStreams(), func(s *ingotv1.StreamState) bool { return !s.GetConnected() })
	})
	s1.end <- status.Error(codes.Aborted, "superseded")
	s1.ended()
	select {
	case <-one.streams:
		t.Error("came back although the other stream stands")
	case <-time.After(10 * r.opts.timing.maxDelay):
	}
	s2.end <- status.Error(codes.Unavailable, "gone")
	two.next()
}

func TestNamesAreFollowed(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	_, port, _ := strings.Cut(c.address, ":")
	r := newRig(t, a, "centre.example:"+port)
	addresses := make(chan []string, 1)
	addresses <- []string{"127.0.0.1", "127.0.0.2"}
	r.opts.resolve = func(context.Context, string) ([]string, error) {
		list := <-addresses
		addresses <- list
		return list, nil
	}
	r.start()
	c.next().lead("L", 5)
	endpoints := func() []string {
		var out []string
		for _, s := range r.agent.State().GetStreams() {
			out = append(out, s.GetEndpoint())
		}
		return out
	}
	eventually(t, "both addresses", func() bool { return cmp.Equal(endpoints(), []string{"127.0.0.1:" + port, "127.0.0.2:" + port}) })
	<-addresses
	addresses <- []string{"127.0.0.1"}
	eventually(t, "the second is gone", func() bool { return cmp.Equal(endpoints(), []string{"127.0.0.1:" + port}) })
}

// TestANameWithoutAddressesIsAskedForSoon: a speaker starts beside the centre that it is installed with, and would wait half a
// minute for it otherwise.
func TestANameWithoutAddressesIsAskedForSoon(t *testing.T) {
	a := newAuthority(t)
	c := startCentre(t, a, "")
	_, port, _ := strings.Cut(c.address, ":")
	r := newRig(t, a, "centre.example:"+port)
	r.opts.timing.resolveEvery = time.Hour
	failures := 3
	r.opts.resolve = func(context.Context, string) ([]string, error) {
		if failures--; failures >= 0 {
			return nil, errors.New("no such host")
		}
		return []string{"127.0.0.1"}, nil
	}
	r.start()
	c.next().lead("L", 5)
}

func TestDelayIsJitteredAndBounded(t *testing.T) {
	a := &Agent{}
	a.opts.timing.setDefaults()
	denied := status.Error(codes.PermissionDenied, "")
	for attempt := range 40 {
		for _, tt := range []struct {
			err   error
			limit time.Duration
		}{{errClosed, 10 * time.Second}, {denied, 30 * time.Second}} {
			got := a.delay(attempt, tt.err)
			if got < 200*time.Millisecond || got > tt.limit {
				t.Errorf("attempt %d after %v: %v", attempt, tt.err, got)
			}
		}
	}
	if a.delay(0, errClosed) > 400*time.Millisecond {
		t.Error("the first attempt waits too long")
	}
}

// started counts the streams that the agent tried to open.
func started(t *testing.T, r *rig) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	check(t, err)
	var n float64
	for _, f := range families {
		if f.GetName() == "grpc_client_started_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
