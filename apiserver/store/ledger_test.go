package store

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/ledger"
	"github.com/ingot-lb/ingot/test/await"
)

const ledgerNamespace = "metallb-system"

// testController claims in a term of its own.
type testController struct {
	*testing.T
	store *Store
	term  int64
}

func newTestController(t *testing.T, s *Store, name string) *testController {
	t.Helper()
	c := &testController{T: t, store: s}
	c.term = c.ask(metallb.IPAllocationClaimSpec{Identity: name}).Term
	return c
}

func (c *testController) ask(spec metallb.IPAllocationClaimSpec) metallb.IPAllocationClaimStatus {
	c.Helper()
	spec.Term = c.term
	claim := &metallb.IPAllocationClaim{Spec: spec}
	if err := c.store.Claim(c.Context(), ledgerNamespace, claim, false); err != nil {
		c.Fatal(err)
	}
	return claim.Status
}

func (c *testController) claim(services ...metallb.ServiceClaim) (results []metallb.ClaimResult) {
	c.Helper()
	for _, r := range c.ask(metallb.IPAllocationClaimSpec{Services: services}).Services {
		results = append(results, r.Result)
	}
	return results
}

func wants(name, addr string) metallb.ServiceClaim {
	return metallb.ServiceClaim{Namespace: "default", Name: name, Pool: "web", Addresses: []string{addr}}
}

func releases(name, addr string) metallb.ServiceClaim {
	return metallb.ServiceClaim{Namespace: "default", Name: name, Release: []string{addr}}
}

// withPool opens a store that has the pool 10.0.0.0-10.0.0.255.
func withPool(t *testing.T) *Store {
	t.Helper()
	s := open(t, t.TempDir())
	if _, err := pools(t, s).Create(inSystemNamespace(t.Context()), span("web", 0, 255), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func revision(t *testing.T, s *Store) int64 {
	t.Helper()
	resp, err := s.client.Get(t.Context(), guardKey)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}

func TestClaims(t *testing.T) {
	s := withPool(t)
	guard := revision(t, s)
	c := newTestController(t, s, "one")
	if got := c.claim(wants("a", "10.0.0.1"), wants("b", "10.0.0.1"), wants("c", "198.51.100.1")); !cmp.Equal(got, []metallb.ClaimResult{"Granted", "Held", "NotInPool"}) {
		t.Errorf("results %v", got)
	}
	if now, err := s.currentView(t.Context()); err != nil || now.guard.revision > guard {
		t.Errorf("the configuration's revision went from %d to %d (%v) by a claim", guard, now.guard.revision, err)
	}
	if now, err := s.currentView(t.Context()); err != nil || len(now.entries) != 1 {
		t.Errorf("an allocation counts as configuration: %d objects, error %v", len(now.entries), err)
	}
	before := revision(t, s)
	if got := c.claim(wants("a", "10.0.0.1")); !cmp.Equal(got, []metallb.ClaimResult{"Granted"}) || revision(t, s) != before {
		t.Errorf("what is there was claimed again: %v, and %d writes", got, revision(t, s)-before)
	}
	if got := c.claim(releases("a", "10.0.0.1"), wants("b", "10.0.0.1")); !cmp.Equal(got, []metallb.ClaimResult{"Granted", "Granted"}) {
		t.Errorf("moved on: %v", got)
	}
	var many []metallb.ServiceClaim
	for i := range 150 {
		many = append(many, wants(fmt.Sprint("many-", i), fmt.Sprintf("10.0.0.%d", 10+i)))
	}
	for i, got := range c.claim(many...) {
		if got != metallb.ClaimGranted {
			t.Errorf("claim %d of many: %s", i, got)
		}
	}
	if got := c.ask(metallb.IPAllocationClaimSpec{}).Allocations; got != 151 {
		t.Errorf("%d allocations, want 151", got)
	}
	c.claim(releases("b", "10.0.0.1"), releases("stranger", "10.0.0.1"))
	if past := (&testController{T: t, store: s}).ask(metallb.IPAllocationClaimSpec{}).Past; len(past) != 1 || past[0].Address != "10.0.0.1" || past[0].Name != "b" {
		t.Errorf("past %+v, want 10.0.0.1 of b", past)
	}
}

// TestAnAddressOfAPoolThatWentAway: a claim is judged by the pools as they are when it is granted.
func TestAnAddressOfAPoolThatWentAway(t *testing.T) {
	s := withPool(t)
	c := &claiming{Store: s, namespace: ledgerNamespace, spec: &metallb.IPAllocationClaimSpec{}, status: &metallb.IPAllocationClaimStatus{}}
	claims := []metallb.ServiceClaim{wants("a", "10.0.0.1")}
	p, err := c.read(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	results, ops, err := c.judge(p, claims)
	if err != nil || results[0].Result != metallb.ClaimGranted {
		t.Fatalf("%v, %v", results, err)
	}
	if _, _, err := pools(t, s).Delete(inSystemNamespace(t.Context()), "web", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if done, err := c.commit(t.Context(), p, ops); err != nil || done {
		t.Errorf("the claim was entered (%v), error %v", done, err)
	}
	if results, err := c.chunk(t.Context(), claims); err != nil || results[0].Result != metallb.ClaimNotInPool {
		t.Errorf("judged anew: %v, %v", results, err)
	}
}

func TestTermsEnd(t *testing.T) {
	s := withPool(t)
	one := newTestController(t, s, "one")
	one.claim(wants("a", "10.0.0.1"))
	two := newTestController(t, s, "two")
	if two.term <= one.term {
		t.Errorf("term %d after term %d", two.term, one.term)
	}
	for _, spec := range []metallb.IPAllocationClaimSpec{
		{Services: []metallb.ServiceClaim{wants("a", "10.0.0.1")}},
		{Services: []metallb.ServiceClaim{wants("b", "10.0.0.2")}},
		{Services: []metallb.ServiceClaim{releases("a", "10.0.0.1")}},
		{Renew: true}, {Establish: true}, {Forget: []string{"10.0.0.1"}}, {},
	} {
		spec.Term = one.term
		if err := s.Claim(t.Context(), ledgerNamespace, &metallb.IPAllocationClaim{Spec: spec}, false); !errors.Is(err, ledger.ErrTermEnded) {
			t.Errorf("%+v of a term that has ended: %v", spec, err)
		}
	}
	if got := two.ask(metallb.IPAllocationClaimSpec{}).Allocations; got != 1 {
		t.Errorf("%d allocations, want that of a", got)
	}
	renewed := two.ask(metallb.IPAllocationClaimSpec{Renew: true}).Term
	if renewed <= two.term {
		t.Errorf("renewed term %d after %d", renewed, two.term)
	}
}

func TestDryRunOfClaims(t *testing.T) {
	s := withPool(t)
	c := newTestController(t, s, "one")
	before := revision(t, s)
	for _, spec := range []metallb.IPAllocationClaimSpec{
		{}, {Term: c.term, Renew: true, Establish: true, Forget: []string{"10.0.0.1"}},
		{Term: c.term, Services: []metallb.ServiceClaim{wants("a", "10.0.0.1"), wants("b", "10.0.0.1")}},
	} {
		claim := &metallb.IPAllocationClaim{Spec: spec}
		if err := s.Claim(t.Context(), ledgerNamespace, claim, true); err != nil {
			t.Error(err)
		}
		for i, r := range claim.Status.Services {
			if want := []metallb.ClaimResult{"Granted", "Held"}[i]; r.Result != want {
				t.Errorf("claim %d: %s, want %s", i, r.Result, want)
			}
		}
	}
	if now := revision(t, s); now != before {
		t.Errorf("%d writes", now-before)
	}
}

// TestTheLedgerIsHeard: who follows the ledger hears of claims, and that it is established in an epoch; when an entry is
// deleted by another hand, it is not any more.
func TestTheLedgerIsHeard(t *testing.T) {
	s := withPool(t)
	c := newTestController(t, s, "one")
	c.claim(wants("a", "10.0.0.1"))
	changed := s.LedgerChanged(t.Context())
	heard := func(want Ledger) {
		t.Helper()
		await.Success(t, "hearing of the ledger", func() error {
			got, ok := s.Ledger()
			if !ok {
				return errors.New("it was not read")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				return fmt.Errorf("-want +got:\n%s", diff)
			}
			return nil
		})
	}
	one, two := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	a := ledger.Holding{Services: []types.NamespacedName{{Namespace: "default", Name: "a"}}}
	b := ledger.Holding{Services: []types.NamespacedName{{Namespace: "default", Name: "b"}}}
	<-changed
	heard(Ledger{Holdings: map[netip.Addr]ledger.Holding{one: a}})
	c.ask(metallb.IPAllocationClaimSpec{Establish: true})
	if c.ask(metallb.IPAllocationClaimSpec{}).Established {
		t.Error("established, though nobody leads")
	}
	lead, err := s.Campaign(t.Context(), "me")
	if err != nil {
		t.Fatal(err)
	}
	c.claim(wants("b", "10.0.0.2"))
	if err := s.AskLedger(t.Context(), ledgerNamespace, []netip.Addr{two}); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Ledger(); !cmp.Equal(got.Holdings[two], b) {
		t.Errorf("asked for: %v", got.Holdings[two])
	}
	if !c.ask(metallb.IPAllocationClaimSpec{Establish: true}).Established {
		t.Error("not established")
	}
	heard(Ledger{Epoch: lead.Epoch, Holdings: map[netip.Addr]ledger.Holding{one: a, two: b}})

	key := (&claiming{namespace: ledgerNamespace}).key(one)
	held, err := s.client.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	l := &ledgered{store: s}
	if resp, err := l.OptimisticDelete(t.Context(), key, held.Kvs[0].ModRevision-1, kubernetes.DeleteOptions{}); err != nil || resp.Succeeded || resp.KV == nil {
		t.Errorf("deletion of another state: %+v, %v", resp, err)
	}
	if resp, err := l.OptimisticDelete(t.Context(), key, held.Kvs[0].ModRevision, kubernetes.DeleteOptions{}); err != nil || !resp.Succeeded {
		t.Errorf("deletion: %+v, %v", resp, err)
	}
	heard(Ledger{Holdings: map[netip.Addr]ledger.Holding{two: b}})
	if _, err := l.OptimisticPut(t.Context(), key, nil, 0, kubernetes.PutOptions{}); err == nil {
		t.Error("an allocation was written without a claim")
	}
	if _, err := s.client.Delete(t.Context(), ledgerKey, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	heard(Ledger{Holdings: map[netip.Addr]ledger.Holding{}})
}

// TestLongKeysAndManyPorts: what is too long for one transaction is written in several, and what is too long for any is
// refused alone.
func TestLongKeysAndManyPorts(t *testing.T) {
	s := withPool(t)
	c := newTestController(t, s, "one")
	long := func(name, addr string) metallb.ServiceClaim {
		claim := wants(name, addr)
		claim.SharingKey = strings.Repeat("k", 200_000)
		return claim
	}
	var many []metallb.ServiceClaim
	for i := range 40 {
		many = append(many, long(fmt.Sprint("long-", i), fmt.Sprintf("10.0.0.%d", i)))
	}
	endless := wants("endless", "10.0.0.100")
	for i := range 60_000 {
		endless.Ports = append(endless.Ports, metallb.AllocatedPort{Protocol: "TCP", Port: int32(1 + i)})
	}
	many = append(many, endless, wants("short", "10.0.0.101"))
	got := c.claim(many...)
	for i, result := range got {
		if want := map[bool]metallb.ClaimResult{true: metallb.ClaimRetry, false: metallb.ClaimGranted}[many[i].Name == "endless"]; result != want {
			t.Errorf("%s: %s, want %s", many[i].Name, result, want)
		}
	}
	if n := c.ask(metallb.IPAllocationClaimSpec{}).Allocations; n != 41 {
		t.Errorf("%d allocations, want 41", n)
	}
}

// TestTermsOfAnEmptiedStore: a controller of before has none of them.
func TestTermsOfAnEmptiedStore(t *testing.T) {
	s := withPool(t)
	one := newTestController(t, s, "one")
	if _, err := s.client.Delete(t.Context(), allocatorKey); err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(one.term + 60_000)
	if next := termAfter(0, now); next <= one.term {
		t.Errorf("term %d after %d and the loss of the store", next, one.term)
	}
	if next := termAfter(one.term, now.Add(-time.Hour)); next != one.term+1 {
		t.Errorf("term %d after %d, with a clock that was set back", next, one.term)
	}
	two := newTestController(t, s, "two")
	if two.term < one.term {
		t.Errorf("term %d after %d", two.term, one.term)
	}
}

// TestReservedAddresses: a reservation holds from the moment at which it is there, whatever the controller has heard of it. It
// takes nothing from who has the address already.
func TestReservedAddresses(t *testing.T) {
	s := withPool(t)
	c := newTestController(t, s, "one")
	if got := c.claim(wants("before", "10.0.0.1")); !cmp.Equal(got, []metallb.ClaimResult{"Granted"}) {
		t.Fatal(got)
	}
	all := objects(t, s, "ipreservations", "ipreservation",
		func() runtime.Object { return &metallb.IPReservation{} }, func() runtime.Object { return &metallb.IPReservationList{} })
	for name, spec := range map[string]metallb.IPReservationSpec{
		"mine":   {Addresses: []string{"10.0.0.1-10.0.0.2", "2001:db8::/64"}, Namespace: "default", Service: "mine"},
		"ours":   {Addresses: []string{"10.0.0.8/29"}, Namespace: "default"},
		"theirs": {Addresses: []string{"10.0.0.16"}, Namespace: "other"},
		"nobody": {Addresses: []string{"10.0.0.17"}},
	} {
		r := &metallb.IPReservation{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ledgerNamespace}, Spec: spec}
		if _, err := all.Create(inSystemNamespace(t.Context()), r, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	kept := wants("kept", "10.0.0.17")
	kept.Kept = true
	got := c.claim(wants("before", "10.0.0.1"), wants("mine", "10.0.0.2"), wants("other", "10.0.0.2"), wants("x", "10.0.0.2"), wants("x", "10.0.0.9"),
		wants("x", "10.0.0.16"), wants("x", "10.0.0.17"), wants("x", "10.0.0.18"), kept)
	want := []metallb.ClaimResult{"Granted", "Granted", "Held", "Held", "Granted", "Reserved", "Reserved", "Granted", "Granted"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results, -want +got:\n%s", diff)
	}
	c.claim(releases("mine", "10.0.0.2"))
	if got := c.claim(wants("x", "10.0.0.2")); !cmp.Equal(got, []metallb.ClaimResult{"Reserved"}) {
		t.Errorf("once it is free: %v", got)
	}
}
