package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
)

// scene is an allocator in which so many addresses are in use, and what a benchmark does to it.
type scene struct {
	name string
	fill int
	make func(b *testing.B, fill int) *Allocator
	do   func(b *testing.B, a *Allocator, fill int) func(i int)
}

// BenchmarkAllocate is the figures of design.md section 12. Each operation is one address taken and one released.
// of-empty is the processor's time as a multiple of that of the first of the same kind; 2 is the most that is allowed.
// MetalLB 0.16.1 on the same machine: 0.75 ms at 1,000, 55.6 at 30,000, 122 at 60,000 addresses of a /16.
func BenchmarkAllocate(b *testing.B) {
	groups := [][]scene{
		fills("lowest/v4-16", in("10.0.0.0/16"), oneMore(v4), 0, 1_000, 30_000, 60_000, 64_880, 65_535),
		fills("lowest/v6-64", in("2001:db8::/64"), oneMore(v6), 0, 1_000, 50_000, 100_000),
		fills("churn/v4-16", in("10.0.0.0/16"), churn(v4), 1, 1_000, 30_000, 60_000, 64_880, 65_535),
		fills("churn/v6-64", in("2001:db8::/64"), churn(v6), 1, 1_000, 50_000, 100_000),
		fills("gaps/v4-16", everyOther("10.0.0.0/16"), oneMore(v4), 2, 2_000, 30_000, 60_000),
		fills("resting/v4-16", restingIn, oneMore(v4), 0, 1_000, 30_000, 64_880),
		fills("reserved/v4-16", reservedIn16, oneMore(v4), 0, 1_000, 30_000, 64_880),
		fills("sharing/one-address", sharersOfOne, oneSharer, 0, 10, 100, 200),
		fills("sharing/one-key-many-addresses", sharersOfMany, oneSharer, 0, 1_000, 30_000, 64_880),
		fills("quota/one-namespace", limitedIn, oneMore(v4), 0, 1_000, 30_000, 64_880),
		fills("refused/full-pool", fullPool, refused, 256, 4_096, 65_536),
		fills("full-pools/the-last-has-room", fullPools, oneMore(v4), 1, 1_000),
		fills("full-pools/pinned", pinnedFullPools, oneMore(v4), 1, 1_000),
		fills("full-pools/sharing", fullPools, oneSharer, 1, 1_000),
		fills("refused/full-pools", onlyFullPools, refused, 1, 1_000),
	}
	for _, group := range groups {
		var base float64
		for _, s := range group {
			b.Run(fmt.Sprintf("%s/inUse=%d", s.name, s.fill), func(b *testing.B) {
				a := s.make(b, s.fill)
				do := s.do(b, a, s.fill)
				b.ReportAllocs()
				i := 0
				runtime.GC() // the garbage of the making is not this operation's
				before := cpuTime(b)
				for b.Loop() {
					do(i)
					i++
				}
				each := float64(cpuTime(b)-before) / float64(b.N)
				if base == 0 {
					base = each
				}
				b.ReportMetric(each, "cpu-ns/op")
				b.ReportMetric(each/base, "of-empty")
			})
		}
	}
}

// cpuTime is the processor's time that the process has had, which other processes on the machine do not change.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func fills(name string, make func(*testing.B, int) *Allocator, do func(*testing.B, *Allocator, int) func(int), sizes ...int) (all []scene) {
	for _, n := range sizes {
		all = append(all, scene{name, n, make, do})
	}
	return all
}

func familyOf(a *Allocator) Families { return Families{First: a.blocks[0].family} }

// in is a pool of which the lowest addresses are in use.
func in(span string) func(*testing.B, int) *Allocator {
	return func(b *testing.B, n int) *Allocator {
		a := with(openPool(b, "a", span))
		take(b, a, n, service)
		return a
	}
}

func take(b *testing.B, a *Allocator, n int, of func(string) Service) {
	for i := range n {
		if _, err := a.Allocate(of(fmt.Sprint(i)), familyOf(a)); err != nil {
			b.Fatal(err)
		}
	}
}

// everyOther is a pool in which n addresses were in use, and every second has been released.
func everyOther(span string) func(*testing.B, int) *Allocator {
	return func(b *testing.B, n int) *Allocator {
		a := in(span)(b, n)
		for i := 0; i < n; i += 2 {
			a.Release(service(fmt.Sprint(i)).Key)
		}
		return a
	}
}

// restingIn is a pool of which n addresses rest.
func restingIn(b *testing.B, n int) *Allocator {
	p := openPool(b, "a", "10.0.0.0/16")
	p.Cooldown = time.Hour
	a := with(p)
	take(b, a, n, service)
	for i := range n {
		a.Release(service(fmt.Sprint(i)).Key)
	}
	a.pools["a"].Cooldown = 0 // what is released from now on is free at once; what rests goes on, as no time passes
	return a
}

// reservedIn16 is a pool of which n addresses are reserved, in as many pieces as can be.
func reservedIn16(b *testing.B, n int) *Allocator {
	a := with(openPool(b, "a", "10.0.0.0/16"))
	r := Reservation{Name: "r"}
	addr := netip.MustParseAddr("10.0.0.0")
	for range n {
		span, err := addrrange.New(addr, addr)
		if err != nil {
			b.Fatal(err)
		}
		r.Ranges = append(r.Ranges, span)
		addr = addr.Next()
	}
	a.SetReservations([]Reservation{r})
	return a
}

func sharer(i int, port uint16) Service {
	s := service(fmt.Sprint("s", i))
	s.SharingKey, s.Ports = "k", []Port{{"TCP", port}}
	return s
}

// sharersOfOne is n Services that share one address.
func sharersOfOne(b *testing.B, n int) *Allocator {
	a := with(openPool(b, "a", "10.0.0.0/16"))
	for i := range n {
		if as, err := a.Allocate(sharer(i, uint16(1000+i)), v4); err != nil || as.Addrs[0] != netip.MustParseAddr("10.0.0.0") {
			b.Fatal(as, err)
		}
	}
	return a
}

// sharersOfMany is n Services that could share if they had not all the same port.
func sharersOfMany(b *testing.B, n int) *Allocator {
	a := with(openPool(b, "a", "10.0.0.0/16"))
	for i := range n {
		if _, err := a.Allocate(sharer(i, 80), v4); err != nil {
			b.Fatal(err)
		}
	}
	return a
}

func limitedIn(b *testing.B, n int) *Allocator {
	p := openPool(b, "a", "10.0.0.0/16")
	p.Quota = &Quota{PerNamespace: 65_000}
	a := with(p)
	take(b, a, n, service)
	return a
}

// fullPool is a pool of so many addresses, none of them free, and each held by a namespace of its own.
func fullPool(b *testing.B, n int) *Allocator {
	first := netip.MustParseAddr("10.0.0.0")
	last := plainAddr(plain(first).plus(index{lo: uint64(n - 1)}), IPv4)
	a := with(openPool(b, "a", fmt.Sprintf("%v-%v", first, last)))
	take(b, a, n, func(name string) Service {
		s := service(name)
		s.Namespace, s.Key = "ns"+name, "ns"+name+"/x"
		return s
	})
	return a
}

// fullPools is n pools without a free address, and one that comes after them.
func fullPools(b *testing.B, n int) *Allocator {
	return with(append(makeFull(b, n, nil), openPool(b, "z", "10.255.0.0/24"))...).fill(b, n)
}

// pinnedFullPools is the same of pools that are for Services with a label.
func pinnedFullPools(b *testing.B, n int) *Allocator {
	pin := &Pin{ServiceSelectors: selector(b, "tier notin (db)")}
	return with(append(makeFull(b, n, pin), openPool(b, "z", "10.255.0.0/24"))...).fill(b, n)
}

func onlyFullPools(b *testing.B, n int) *Allocator { return with(makeFull(b, n, nil)...).fill(b, n) }

const sizeOfFull = 2

func makeFull(b *testing.B, n int, pin *Pin) []Pool {
	pools := make([]Pool, n)
	for i := range pools {
		pools[i] = openPool(b, fmt.Sprintf("p%04d", i), fmt.Sprintf("10.%d.%d.0/31", i/256, i%256))
		pools[i].Pin = pin
	}
	return pools
}

// fill takes the addresses of the first n pools.
func (a *Allocator) fill(b *testing.B, n int) *Allocator {
	take(b, a, sizeOfFull*n, service)
	return a
}

// oneMore takes the lowest address there is and gives it back, each time as another Service.
func oneMore(f Families) func(*testing.B, *Allocator, int) func(int) {
	return func(b *testing.B, a *Allocator, _ int) func(int) {
		var services [512]Service
		for i := range services {
			services[i] = service(fmt.Sprint("new", i))
		}
		return func(i int) {
			s := services[i%len(services)]
			if _, err := a.Allocate(s, f); err != nil {
				b.Fatal(err)
			}
			a.Release(s.Key)
		}
	}
}

// churn releases an address at random, and another Service takes the lowest.
func churn(f Families) func(*testing.B, *Allocator, int) func(int) {
	return func(b *testing.B, a *Allocator, n int) func(int) {
		rng := rand.New(rand.NewPCG(1, 1))
		keys := make([]string, n)
		for i := range keys {
			keys[i] = service(fmt.Sprint(i)).Key
		}
		spare := make([]Service, 4096)
		for i := range spare {
			spare[i] = service(fmt.Sprint("spare", i))
		}
		next := 0
		return func(int) {
			victim := rng.IntN(n)
			a.Release(keys[victim])
			for a.holdings[spare[next].Key] != nil { // few of them are in use
				next = (next + 1) % len(spare)
			}
			s := spare[next]
			next = (next + 1) % len(spare)
			if _, err := a.Allocate(s, f); err != nil {
				b.Fatal(err)
			}
			a.Release(s.Key) // the names of those in use stay as they are
			if _, err := a.Allocate(held(keys[victim]), f); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func held(key string) Service {
	return Service{Key: key, Namespace: "default", Ports: []Port{{"TCP", 80}}}
}

func oneSharer(b *testing.B, a *Allocator, n int) func(int) {
	s := sharer(n, uint16(1000+n))
	return func(int) {
		if _, err := a.Allocate(s, v4); err != nil {
			b.Fatal(err)
		}
		a.Release(s.Key)
	}
}

func refused(b *testing.B, a *Allocator, _ int) func(int) {
	s := service("new")
	return func(int) {
		if _, err := a.Allocate(s, v4); err == nil {
			b.Fatal("no address should be free")
		}
	}
}

// BenchmarkMemory is what one address in use costs.
func BenchmarkMemory(b *testing.B) {
	for _, m := range []struct {
		name, span string
		f          Families
		n          int
		of         func(int) Service
	}{
		{"v4-16", "10.0.0.0/16", v4, 65_536, func(i int) Service { return service(fmt.Sprint(i)) }},
		{"v6-64", "2001:db8::/64", v6, 100_000, func(i int) Service { return service(fmt.Sprint(i)) }},
		{"v4-16-own-sharing-keys", "10.0.0.0/16", v4, 65_536, func(i int) Service {
			s := sharer(i, 80)
			s.SharingKey = fmt.Sprint("k", i)
			return s
		}},
	} {
		b.Run(m.name, func(b *testing.B) {
			services := make([]Service, m.n) // the caller's, not counted
			for i := range services {
				services[i] = m.of(i)
			}
			for b.Loop() {
				before := heap()
				a := with(openPool(b, "a", m.span))
				for _, s := range services {
					if _, err := a.Allocate(s, m.f); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(heap()-before)/float64(m.n), "B/address")
				runtime.KeepAlive(a)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
