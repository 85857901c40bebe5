package saved

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/desired"
)

const password = "s3cret"

func snapshot() Snapshot {
	session := &ingotv1.Item{Id: "bgp-session/tor", Digest: "d1", Content: &ingotv1.Item_BgpSession{
		BgpSession: &ingotv1.BgpSession{Peer: "tor", Address: "192.0.2.1", Password: password}}}
	worse := &ingotv1.Item{Id: "bgp-session/tor", Digest: "d2", Content: &ingotv1.Item_BgpSession{
		BgpSession: &ingotv1.BgpSession{Peer: "tor", Address: "nonsense"}}}
	address := &ingotv1.Item{Id: "layer2/192.0.2.9", Digest: "d3", Content: &ingotv1.Item_Layer2Address{
		Layer2Address: &ingotv1.Layer2Address{Address: "192.0.2.9", Role: ingotv1.Layer2Address_ROLE_OWNER, Term: 3}}}
	return Snapshot{
		Node: "node1", BootID: "boot1",
		Addresses: map[string][]string{"centre:7473": {"192.0.2.2:7473"}},
		State: desired.Saved{
			Standing: desired.Standing{Lineage: "L", Epoch: 4, Revision: 9, Adoption: 7},
			Lanes: map[ingotv1.Lane]desired.SavedLane{
				ingotv1.Lane_LANE_ROUTING: {Adoption: 7, Items: []desired.Held{
					{Item: worse, Status: ingotv1.ItemResult_STATUS_REJECTED, Reason: "not an address", Good: session}}},
				ingotv1.Lane_LANE_LAYER2: {Items: []desired.Held{{Item: address, Status: ingotv1.ItemResult_STATUS_APPLIED}}},
			},
		},
	}
}

var comparing = cmp.Options{protocmp.Transform(), cmpopts.IgnoreUnexported(desired.Held{})}

func TestSavedIsLoaded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ingot")
	store := NewStore(dir, "node1", "boot1")
	want := snapshot()
	for range 2 { // the second replaces the first
		if err := store.Save(want.State, want.Addresses, want.LogLevel); err != nil {
			t.Fatal(err)
		}
	}

	got, ok, err := store.Load()
	if err != nil || !ok {
		t.Fatalf("Load: %v, %v", ok, err)
	}
	if diff := cmp.Diff(want, got, comparing); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, store.Path(): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != mode {
			t.Errorf("%s has mode %o, want %o", path, got, mode)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestEverySaveIsOfWhatIsHeldThen(t *testing.T) {
	store := NewStore(t.TempDir(), "node1", "boot1")
	want := snapshot()
	lane := want.State.Lanes[ingotv1.Lane_LANE_ROUTING]
	change := []func(){
		func() {},
		func() { lane.Items[0].Status = ingotv1.ItemResult_STATUS_PENDING },
		func() { lane.Items[0].Reason = "another" },
		func() { lane.Items[0].Good = nil },
		func() { lane.Items[0].Item = &ingotv1.Item{Id: "bgp-session/tor", Digest: "d9"} },
		func() { want.State.Lanes[ingotv1.Lane_LANE_ROUTING] = desired.SavedLane{} },
	}
	for i, do := range change {
		do()
		if err := store.Save(want.State, want.Addresses, want.LogLevel); err != nil {
			t.Fatal(err)
		}
		got, _, err := store.Load()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, comparing); diff != "" {
			t.Errorf("after change %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestNothingSavedIsNoError(t *testing.T) {
	if _, ok, err := NewStore(t.TempDir(), "node1", "boot1").Load(); ok || err != nil {
		t.Errorf("Load: %v, %v", ok, err)
	}
}

func TestUnusableStateIsRefusedWithItsReason(t *testing.T) {
	want := snapshot()
	whole, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	tests := []struct {
		name         string
		data         []byte
		node, bootID string
		reason       string
	}{
		{"of another node", whole, "node2", "boot1", `of node "node1", this is "node2"`},
		{"of another boot", whole, "node1", "boot2", `of boot "boot1", this is "boot2"`},
		{"cut short", whole[:len(whole)-10], "node1", "boot1", "checksum"},
		{"a bit flipped", flipped, "node1", "boot1", "checksum"},
		{"empty", nil, "node1", "boot1", "version"},
		{"of a version to come", bytes.Replace(whole, []byte("state 1"), []byte("state 2"), 1), "node1", "boot1", "version"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := NewStore(t.TempDir(), tt.node, tt.bootID)
			if err := os.WriteFile(store.Path(), tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, ok, err := store.Load()
			if ok || !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("Load: %v, %v; want %q", ok, err, tt.reason)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	whole, err := Encode(snapshot())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	_, body, _ := bytes.Cut(whole, []byte("\n"))
	_, body, _ = bytes.Cut(body, []byte("\n"))
	f.Add(body)
	f.Fuzz(func(t *testing.T, data []byte) {
		// As it is, and as a body with the right checksum, so that what is behind the checksum is reached.
		for _, input := range [][]byte{data, sealed(data)} {
			snap, err := Decode(input)
			if err != nil {
				continue
			}
			state, err := desired.Restore(snap.State)
			if err != nil {
				continue
			}
			snap.State = state.Save()
			again, err := Encode(snap)
			if err != nil {
				t.Fatalf("decoded, but does not encode: %v", err)
			}
			back, err := Decode(again)
			if err != nil {
				t.Fatalf("encoded, but does not decode: %v", err)
			}
			if diff := cmp.Diff(snap, back, comparing, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("not the same again (-want +got):\n%s", diff)
			}
		}
	})
}
