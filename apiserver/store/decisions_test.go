package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestCampaignPassesTheLeadOn(t *testing.T) {
	s := open(t, t.TempDir())
	firstCtx, endFirst := context.WithCancel(t.Context())
	first, err := s.Campaign(firstCtx, "a")
	if err != nil {
		t.Fatal(err)
	}

	won := make(chan *Leadership)
	go func() {
		lead, err := s.Campaign(t.Context(), "b")
		if err != nil {
			t.Errorf("campaign of b: %v", err)
		}
		won <- lead
	}()
	select {
	case <-won:
		t.Fatal("b leads while a does")
	case <-first.Done:
		t.Fatal("a lost the lead on its own")
	default:
	}

	endFirst()
	<-first.Done
	if second := <-won; second.Epoch <= first.Epoch {
		t.Errorf("epoch of the second leader = %d, not above %d", second.Epoch, first.Epoch)
	}
}

func TestLeadershipEndsWithItsKey(t *testing.T) {
	s := open(t, t.TempDir())
	lead, err := s.Campaign(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}

	if _, err := s.client.Delete(t.Context(), leaderKey); err != nil {
		t.Fatal(err)
	}

	<-lead.Done
}

func TestLeaderKeyOfADeadProcessIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Put(t.Context(), leaderKey, "dead"); err != nil { // without a lease: it would stay for ever
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	if _, err := open(t, dir).Campaign(t.Context(), "alive"); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyTheLeaderSavesDecisions(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, end := context.WithCancel(t.Context())
	old, err := s.Campaign(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	kept := map[netip.Addr]Decision{}
	for i := range 250 { // more than one transaction takes
		kept[netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i))] = Decision{Owner: "node1", Term: uint64(i)}
	}
	kept[netip.MustParseAddr("2001:db8::1")] = Decision{Owner: "node2", Term: 7}
	if err := s.SaveDecisions(t.Context(), old.Epoch, kept, nil); err != nil {
		t.Fatal(err)
	}
	dropped := netip.MustParseAddr("192.0.2.9")
	if err := s.SaveDecisions(t.Context(), old.Epoch, nil, []netip.Addr{dropped}); err != nil {
		t.Fatal(err)
	}
	delete(kept, dropped)

	end()
	<-old.Done
	if _, err := s.Campaign(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	late := map[netip.Addr]Decision{netip.MustParseAddr("192.0.2.1"): {Owner: "node3", Term: 99}}
	if err := s.SaveDecisions(t.Context(), old.Epoch, late, nil); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a leader of the past saves: %v, want %v", err, ErrNotLeader)
	}

	got, err := s.LoadDecisions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kept, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

func TestAdoptionsAccumulateWhatTheySupersede(t *testing.T) {
	s := open(t, t.TempDir())
	if a, err := s.Adoption(t.Context()); err != nil || a.TimeMs != 0 {
		t.Fatalf("adoption of a fresh store = %+v, %v, want none", a, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed := s.AdoptionChanged(ctx)
	<-changed // once at the start

	first, err := s.Adopt(t.Context(), []string{"old-b", "old-a"})
	if err != nil {
		t.Fatal(err)
	}
	<-changed
	second, err := s.Adopt(t.Context(), []string{"old-c", "old-a", s.Lineage(), ""})
	if err != nil {
		t.Fatal(err)
	}

	if second.TimeMs <= first.TimeMs {
		t.Errorf("second adoption at %d, not after the first at %d", second.TimeMs, first.TimeMs)
	}
	if diff := cmp.Diff([]string{"old-a", "old-b", "old-c"}, second.Supersedes); diff != "" {
		t.Errorf("superseded lineages (-want +got):\n%s", diff)
	}
	if got, err := s.Adoption(t.Context()); err != nil || !cmp.Equal(second, got) {
		t.Errorf("stored adoption = %+v, %v, want %+v", got, err, second)
	}
}
