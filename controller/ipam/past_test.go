package ipam

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// TestRest: a released address is for who had it, and for others later.
func TestRest(t *testing.T) {
	p := openPool(t, "web", "10.0.0.0/31")
	p.Cooldown = time.Hour
	a := with(p)
	a.Advance(noon)
	one, two, three := service("one"), service("two"), service("three")
	for _, s := range []Service{one, two} {
		if _, err := a.Allocate(s, v4); err != nil {
			t.Fatal(err)
		}
	}
	a.Release(two.Key)
	a.Advance(noon.Add(time.Minute))
	a.Release(one.Key)

	_, err := a.Allocate(three, v4)
	const full = "no available IPs: pool web: of its 2 IPv4 addresses 2 at rest since they were released, the first until 2026-01-01T13:00:00Z"
	if err == nil || err.Error() != full {
		t.Errorf("error %v, want %q", err, full)
	}
	if at, ok := RetryAt(err); !ok || !at.Equal(noon.Add(time.Hour)) {
		t.Errorf("retry at %v, %v", at, ok)
	}
	_, err = a.Assign(three, addrs("10.0.0.0"))
	const resting = `"10.0.0.0" of pool web rests until 2026-01-01T13:01:00Z, since Service default/one released it`
	if err == nil || err.Error() != resting {
		t.Errorf("error %v, want %q", err, resting)
	}
	if as, err := a.Allocate(one, v4); err != nil || as.Addrs[0] != netip.MustParseAddr("10.0.0.0") {
		t.Errorf("who had it: %v, %v", as, err)
	}
	if at, ok := a.NextWake(); !ok || !at.Equal(noon.Add(time.Hour)) {
		t.Errorf("next to wake at %v, %v", at, ok)
	}
	if a.Advance(noon.Add(time.Hour - time.Nanosecond)) {
		t.Error("woke before its time")
	}
	if !a.Advance(noon.Add(time.Hour)) {
		t.Error("did not wake")
	}
	if as, err := a.Allocate(three, v4); err != nil || as.Addrs[0] != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("after the rest: %v, %v", as, err)
	}
	a.Advance(noon) // time does not go back
	a.Release(three.Key)
	if at, _ := a.NextWake(); !at.Equal(noon.Add(2 * time.Hour)) {
		t.Errorf("next to wake at %v", at)
	}
}

// TestSticky: a Service that comes back gets what it had, dual stack too, for as long as that is remembered.
func TestSticky(t *testing.T) {
	a := with(openPool(t, "a", "10.0.0.0/24", "2001:db8::/64"), openPool(t, "b", "10.1.0.0/24"))
	a.Advance(noon)
	s := service("s")
	if _, err := a.Assign(s, addrs("10.0.0.7", "2001:db8::7")); err != nil {
		t.Fatal(err)
	}
	back := func(want ...string) {
		t.Helper()
		a.Release(s.Key)
		as, err := a.Allocate(s, prefer4)
		if diff := cmp.Diff(addrs(want...), as.Addrs, cmp.Comparer(byAddrType)); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	}
	back("10.0.0.7", "2001:db8::7")
	if _, err := a.Assign(s, addrs("10.0.0.9", "2001:db8::7")); err != nil {
		t.Fatal(err)
	}
	back("10.0.0.9", "2001:db8::7") // the later one

	a.Release(s.Key)
	if _, err := a.Assign(service("other"), addrs("10.0.0.9")); err != nil {
		t.Fatal(err)
	}
	back("10.0.0.7", "2001:db8::7") // the one before, as that is taken
	a.Release(s.Key)
	a.Advance(noon.Add(Stickiness))
	back("10.0.0.0", "2001:db8::")
}

// TestMemoryIsBounded: what does not rest is forgotten, the oldest first.
func TestMemoryIsBounded(t *testing.T) {
	a := with(openPool(t, "a", "10.0.0.0/16"))
	var past []Past
	first := netip.MustParseAddr("10.0.0.0")
	for i := range MostRemembered + 100 {
		addr := plainAddr(plain(first).plus(index{lo: uint64(i)}), IPv4)
		past = append(past, Past{Addr: addr, Key: "default/s", Released: noon.Add(time.Duration(i) * time.Millisecond)})
	}
	a.Advance(noon.Add(time.Hour))
	a.Remember(past)
	if diff := cmp.Diff(past[100:], a.Remembered(), cmp.Comparer(byAddrType)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	a.Remember([]Past{{Addr: first, Key: "default/t", Released: noon.Add(1000 * time.Hour)}})
	if got := a.Remembered()[0]; got.Addr != first || !got.Released.Equal(noon.Add(time.Hour)) {
		t.Errorf("what was released in the future: %+v", got)
	}
	a.Advance(noon.Add(2 * Stickiness))
	if left := a.Remembered(); len(left) != 0 {
		t.Errorf("%d are remembered too long", len(left))
	}
}
