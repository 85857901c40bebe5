package store

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/export"
)

func openEmpty(t *testing.T, dir string, servers ...string) *Store {
	t.Helper()
	o := testOptions(dir)
	o.KeepEmpty, o.Servers = true, servers
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestEmptyStoreIsKeptEmpty, and its directory is left as it was found.
func TestEmptyStoreIsKeptEmpty(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(dir)
	o.KeepEmpty = true
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Servers = []string{s.embedded.endpoint}
	other, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s.Lineage() != "" || other.Lineage() != "" {
		t.Fatalf("lineages %q and %q of nothing", s.Lineage(), other.Lineage())
	}
	if err := errors.Join(other.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "etcd")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of etcd is left behind: %v", err)
	}

	s = openEmpty(t, dir)
	other = openEmpty(t, "", s.embedded.endpoint)
	if err := s.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, err := other.Look(t.Context()); err != nil || !found || other.Lineage() != s.Lineage() {
		t.Errorf("the other replica finds %v %q, %v; want %q", found, other.Lineage(), err, s.Lineage())
	}
	if err := other.Begin(t.Context()); err != nil || other.Lineage() != s.Lineage() {
		t.Errorf("beginning what is begun: %v, lineage %q", err, other.Lineage())
	}
}

// filled is a store with a pool, an owner, and a ledger.
func filled(t *testing.T) *Store {
	t.Helper()
	s := open(t, t.TempDir())
	ctx := inSystemNamespace(t.Context())
	pool := &metallb.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "metallb-system", Annotations: map[string]string{"a": "ü: #'\""}}}
	pool.Spec.Addresses = []string{"192.0.2.0/24"}
	if _, err := pools(t, s).Create(ctx, pool, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	lead, err := s.Campaign(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddr("192.0.2.7")
	if err := s.SaveDecisions(t.Context(), lead.Epoch, map[netip.Addr]Decision{addr: {Owner: "node1", Term: 3, Reason: "first"}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DigestKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func throughAFile(t *testing.T, c *export.Content) *export.Content {
	t.Helper()
	var file bytes.Buffer
	if _, err := c.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	back, err := export.Read(file.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, file.String())
	}
	return back
}

// TestRestoredStoreIsWhatItWas: through a file into another etcd, everything is there, what was done in the old one's last epoch
// is old, and versions and epochs are higher than any before.
func TestRestoredStoreIsWhatItWas(t *testing.T) {
	s := filled(t)
	was, err := s.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fresh := openEmpty(t, t.TempDir())
	if err := fresh.Restore(t.Context(), throughAFile(t, was), nil); err != nil {
		t.Fatal(err)
	}
	is, err := fresh.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if is.Lineage != was.Lineage || is.EpochBase <= was.Epoch || is.Revision <= was.Revision {
		t.Errorf("restored: lineage %s, base %d, revision %d; before: %s, epoch %d, %d", is.Lineage, is.EpochBase, is.Revision, was.Lineage, was.Epoch, was.Revision)
	}
	if diff := cmp.Diff(was.State, is.State); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	want, _, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := fresh.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.IPAddressPools, got.IPAddressPools); diff != "" || len(got.IPAddressPools) != 1 {
		t.Errorf("pools (-want +got):\n%s", diff)
	}

	lead, err := fresh.Campaign(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if lead.Epoch <= is.EpochBase || lead.Epoch <= was.Epoch {
		t.Errorf("the epoch %d is not above %d and %d", lead.Epoch, is.EpochBase, was.Epoch)
	}
	if _, epoch, err := fresh.Leader(t.Context()); err != nil || epoch != lead.Epoch {
		t.Errorf("Leader: epoch %d, %v; want %d", epoch, err, lead.Epoch)
	}
	decided := map[netip.Addr]Decision{netip.MustParseAddr("192.0.2.8"): {Owner: "node2", Term: 1}}
	if err := fresh.SaveDecisions(t.Context(), was.Epoch, decided, nil); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a decision in the old epoch: %v", err)
	}
	if err := fresh.SaveDecisions(t.Context(), lead.Epoch, decided, nil); err != nil {
		t.Errorf("a decision in the new epoch: %v", err)
	}
	if ahead, err := fresh.Ahead(t.Context(), was.Revision); err != nil || ahead {
		t.Errorf("a version of before is ahead: %v, %v", ahead, err)
	}
	if ahead, err := fresh.Ahead(t.Context(), is.Revision+1_000_000); err != nil || !ahead {
		t.Errorf("a version of nowhere is not ahead: %v", err)
	}
	if err := fresh.Restore(t.Context(), was, nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a second restoration: %v", err)
	}
}

// TestUnfinishedRestorationIsNoStore: what it left is cleared away, whoever comes next.
func TestUnfinishedRestorationIsNoStore(t *testing.T) {
	was, err := filled(t).Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, next := range map[string]func(*Store) error{
		"begun":    func(s *Store) error { return s.Begin(t.Context()) },
		"restored": func(s *Store) error { return s.Restore(t.Context(), &export.Content{Lineage: "L"}, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			s := openEmpty(t, t.TempDir())
			f, err := s.startFilling(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			puts, err := s.restored(was, s.check)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.commit(t.Context(), puts...); err != nil {
				t.Fatal(err)
			}
			if found, err := s.Look(t.Context()); err != nil || found {
				t.Fatalf("half a store is one: %v, %v", found, err)
			}
			if err := next(s); !errors.Is(err, ErrFilling) {
				t.Errorf("while it is being filled: %v", err)
			}
			f.end() // as if it had died
			if err := next(s); err != nil {
				t.Fatal(err)
			}
			c, err := s.Export(t.Context())
			if err != nil || len(c.Objects) > 0 || len(c.State) > 0 {
				t.Errorf("of what was unfinished there is %v %v, %v", c.Objects, c.State, err)
			}
		})
	}
}

func TestWhatIsNotRestored(t *testing.T) {
	pool := func(name, addresses string) []byte {
		return []byte(`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"` + name + `","namespace":"metallb-system","uid":"1"},"spec":{"addresses":["` + addresses + `"]}}`)
	}
	for name, c := range map[string]struct {
		content export.Content
		want    string
	}{
		"rules are broken":  {export.Content{Objects: [][]byte{pool("a", "10.0.0.1-10.0.0.9"), pool("b", "10.0.0.5-10.0.0.20")}}, "ipaddresspools/metallb-system/b"},
		"twice":             {export.Content{Objects: [][]byte{pool("a", "10.0.0.1-10.0.0.9"), pool("a", "10.0.0.1-10.0.0.9")}}, "twice"},
		"no object of ours": {export.Content{Objects: [][]byte{[]byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}`)}}, "object 1"},
		"without a uid":     {export.Content{Objects: [][]byte{[]byte(`{"apiVersion":"metallb.io/v1beta1","kind":"BFDProfile","metadata":{"name":"a","namespace":"b"}}`)}}, "uid"},
		"a foreign key":     {export.Content{State: []export.Entry{{Key: "/registry/x"}}}, "not for it"},
		"the leader's key":  {export.Content{State: []export.Entry{{Key: leaderKey}}}, "not for it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := openEmpty(t, t.TempDir())
			c.content.Lineage = "L"
			if err := s.Restore(t.Context(), &c.content, overlaps); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Restore: %v, want %q", err, c.want)
			}
			if found, err := s.Look(t.Context()); err != nil || found {
				t.Errorf("there is a store: %v, %v", found, err)
			}
		})
	}
}
