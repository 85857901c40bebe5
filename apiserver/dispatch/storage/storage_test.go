package storage

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/apiserver/store"
)

func TestHubsViewOfARealStore(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{
		DataDir: t.TempDir(), Scheme: install.Scheme, Codec: install.StorageCodec(),
		StorageVersion: install.StorageVersion(install.Scheme), UnsafeNoFsync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	hub := New(s)
	ctx, resign := context.WithCancel(t.Context())
	first, err := hub.Campaign(ctx, "a")
	if err != nil || first.Epoch == 0 {
		t.Fatalf("campaign: %+v, %v", first, err)
	}

	one, two := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	want := map[netip.Addr]plan.Decision{one: {Owner: "node1", Term: 1}, two: {Owner: "node2", Term: 7}}
	if err := hub.SaveDecisions(t.Context(), first.Epoch, want, nil); err != nil {
		t.Fatal(err)
	}
	delete(want, one)
	if err := hub.SaveDecisions(t.Context(), first.Epoch, nil, []netip.Addr{one}); err != nil {
		t.Fatal(err)
	}
	got, err := hub.LoadDecisions(t.Context())
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || err != nil {
		t.Errorf("decisions (-want +got), %v:\n%s", err, diff)
	}

	resign()
	<-first.Done
	second, err := hub.Campaign(t.Context(), "b")
	if err != nil || second.Epoch <= first.Epoch {
		t.Fatalf("second campaign: %+v after %d, %v", second, first.Epoch, err)
	}
	if err := hub.SaveDecisions(t.Context(), first.Epoch, want, nil); !errors.Is(err, dispatch.ErrNotLeader) {
		t.Errorf("an epoch that ended could save: %v", err)
	}

	adopted, err := hub.Adopt(t.Context(), []string{"old", hub.Lineage()})
	if err != nil || adopted.TimeMs == 0 || len(adopted.Supersedes) != 1 {
		t.Fatalf("adopt: %+v, %v", adopted, err)
	}
	if read, err := hub.Adoption(t.Context()); err != nil || !cmp.Equal(read, adopted) {
		t.Errorf("adoption read back: %+v, %v", read, err)
	}
}
