package ipam

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// limited is two pools of which the first has a quota.
func limited(t *testing.T, perNamespace int64) []Pool {
	a, b := openPool(t, "a", "10.0.0.0/24", "2001:db8::/64"), openPool(t, "b", "10.1.0.0/24")
	a.Quota = &Quota{PerNamespace: perNamespace, Namespaces: map[string]int64{"one": 1, "none": 0}}
	return []Pool{a, b}
}

// TestQuota: automatic allocation goes on to the next pool, what insists is refused, and nothing is taken away.
func TestQuota(t *testing.T) {
	a := with(limited(t, 2)...)
	get := func(s Service, f Families, want ...string) {
		t.Helper()
		as, err := a.Allocate(s, f)
		if diff := cmp.Diff(addrs(want...), as.Addrs, cmp.Comparer(byAddrType)); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	}
	refused := func(err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	get(inNamespace("shop", "1"), v4, "10.0.0.0")
	get(inNamespace("shop", "2"), prefer4, "10.0.0.1") // a second one would be its third
	get(inNamespace("shop", "3"), v4, "10.1.0.0")
	get(inNamespace("blog", "1"), require, "10.0.0.2", "2001:db8::")

	const full = "quota of pool a: namespace shop holds 2 of at most 2 addresses, those of shop/1, shop/2"
	_, err := a.AllocateFrom(inNamespace("shop", "4"), "a", v4)
	refused(err, "no available IPs in pool a: "+full)
	if !errors.Is(err, ErrExhausted) {
		t.Errorf("%v is not ErrExhausted", err)
	}
	_, err = a.Assign(inNamespace("shop", "4"), addrs("10.0.0.9"))
	refused(err, full)
	_, err = a.Allocate(inNamespace("shop", "4"), v6)
	refused(err, "no available IPs: "+full+"; pool b: it has no IPv6 addresses")
	_, err = a.Extend(inNamespace("shop", "1"), IPv6)
	refused(err, full)
	_, err = a.AllocateFrom(inNamespace("none", "1"), "a", v4)
	refused(err, "namespace none holds 0 of at most 0 addresses")
	if _, err := a.Assign(inNamespace("shop", "1"), addrs("10.0.0.7")); err != nil {
		t.Errorf("one in exchange for another: %v", err)
	}

	if lost, _ := a.SetPools(limited(t, 1)); len(lost) > 0 {
		t.Errorf("a lower quota takes away %+v", lost)
	}
	if _, err := a.Assign(inNamespace("shop", "1"), addrs("10.0.0.7")); err != nil {
		t.Errorf("a holder renews what it has: %v", err)
	}
	a.Release("shop/2")
	get(inNamespace("shop", "2"), v4, "10.1.0.1")
	a.SetPools(limited(t, -1))
	for range 3 {
		a.Release("shop/2")
	}
	if as, err := a.AllocateFrom(inNamespace("shop", "2"), "a", v4); err != nil {
		t.Errorf("without a limit: %v, %v", as, err)
	}
}

// TestSharedAddressCountsOnce: for each namespace that has a part of it.
func TestSharedAddressCountsOnce(t *testing.T) {
	a := with(limited(t, -1)...)
	sharer := func(namespace, name string, port uint16) Service {
		s := inNamespace(namespace, name)
		s.SharingKey, s.Ports = "k", []Port{{"TCP", port}}
		return s
	}
	for i, s := range []Service{sharer("one", "1", 1), sharer("one", "2", 2), sharer("two", "1", 3), sharer("one", "3", 4)} {
		if _, err := a.Assign(s, addrs("10.0.0.7")); err != nil {
			t.Errorf("Service %d: %v", i, err)
		}
	}
	if _, err := a.Assign(sharer("one", "4", 5), addrs("10.0.0.8")); err == nil {
		t.Error("a second address")
	}
	// The lowest free address is not for it, but one that its namespace has already is.
	if as, err := a.AllocateFrom(sharer("one", "4", 5), "a", v4); err != nil || as.Addrs[0] != addrs("10.0.0.7")[0] {
		t.Errorf("automatically: %v, %v", as, err)
	}
	if _, err := a.Assign(sharer("none", "1", 6), addrs("10.0.0.7")); err == nil {
		t.Error("a namespace that may have none has a part of one")
	}
	for name, want := range map[string]int64{"one": 1, "two": 1, "none": 0} {
		if got := a.pools["a"].used(name); got != want {
			t.Errorf("namespace %s holds %d, want %d", name, got, want)
		}
	}
	for _, key := range []string{"one/1", "one/2", "one/3"} {
		a.Release(key)
		if got := a.pools["a"].used("one"); got != 1 {
			t.Errorf("after %s left, namespace one holds %d", key, got)
		}
	}
	if a.Release("one/4"); a.pools["a"].used("one") != 0 {
		t.Error("namespace one holds something")
	}
}

// TestSentences: what a user is told who gets nothing.
func TestSentences(t *testing.T) {
	p := openPool(t, "a", "10.0.0.0/30")
	p.Quota = nil
	a := with(p, openPool(t, "b", "10.1.0.0/32"), openPool(t, "c", "10.2.0.0/32"), openPool(t, "d", "10.3.0.0/32"), openPool(t, "e", "10.4.0.0/32"))
	for i, namespace := range []string{"w", "x", "x", "y"} {
		if _, err := a.AllocateFrom(inNamespace(namespace, string(rune('0'+i))), "a", v4); err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.AllocateFrom(service("s"), "a", v4)
	if want := "no available IPs in pool a: of its 4 IPv4 addresses 4 in use, most by namespaces x (2), w (1), y (1)"; err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
	a.SetReservations([]Reservation{{Name: "all", Ranges: ranges(t, "10.0.0.0/8")}})
	_, again := a.AllocateFrom(service("s"), "a", v4)
	if Cause(again) != Cause(err) {
		t.Errorf("the cause was %q and is %q", Cause(err), Cause(again))
	}
	_, err = a.Allocate(service("s"), v4)
	if want := "; pool b: of its 1 IPv4 addresses 1 reserved for others; pool c: of its 1 IPv4 addresses 1 reserved for others; and 2 more pools"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error %v, want %q at its end", err, want)
	}
	if _, ok := RetryAt(err); ok {
		t.Error("time would help")
	}
}
