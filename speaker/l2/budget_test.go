package l2

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// sent runs a budget on what was added for so long, and returns the frames sent of each kind and when the last went.
func sent(t *testing.T, b *budget, during time.Duration) (frames map[kind]int, last map[kind]time.Duration) {
	t.Helper()
	frames, last = make(map[kind]int), make(map[kind]time.Duration)
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	b.run(ctx, func(t transmission) {
		frames[t.kind] += t.frames()
		last[t.kind] = time.Since(start)
	})
	return frames, last
}

// addresses are n owned addresses, every second of IPv6.
func addresses(n int) []*owned {
	v4, v6 := netip.MustParseAddr("10.0.0.0"), netip.MustParseAddr("fd00::")
	all := make([]*owned, 0, n)
	for i := range n {
		a := &v4
		if i%2 == 1 {
			a = &v6
		}
		*a = a.Next()
		all = append(all, &owned{order: order{address: *a}})
	}
	return all
}

func rounds(all []*owned, k kind) []transmission {
	out := make([]transmission, 0, len(all))
	for _, o := range all {
		out = append(out, transmission{o, "eth0", k})
	}
	return out
}

func TestAThousandAddressesAreAnnouncedWithinAFractionOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, all := newBudget(), addresses(1000)
		b.add(rounds(all, repeated))
		b.add(rounds(all, first))

		frames, last := sent(t, b, time.Minute)

		if frames[first] != 1500 || last[first] > 100*time.Millisecond {
			t.Errorf("%d frames of first announcements, the last after %v; want 1500 within 100ms", frames[first], last[first])
		}
		// 1500 at 1000 a second, less what may go at once.
		if frames[repeated] != 1500 || last[repeated] < 1400*time.Millisecond || last[repeated] > 1600*time.Millisecond {
			t.Errorf("%d frames of repeated announcements, the last after %v; want 1500 spread over a second and a half", frames[repeated], last[repeated])
		}
	})
}

func TestOnlyRepeatedAnnouncementsAreDropped(t *testing.T) {
	b, all := newBudget(), addresses(maxRepeats+10)

	if got := b.add(rounds(all, repeated)); got != 10 {
		t.Errorf("%d repeated announcements were dropped, want 10: there is room for %d", got, maxRepeats)
	}
	if got := b.add(rounds(all[:5], repeated)); got != 5 {
		t.Errorf("%d repeated announcements were dropped, want the 5 that already wait", got)
	}
	for _, k := range []kind{probing, first, first} {
		if got := b.add(rounds(all, k)); got != 0 {
			t.Errorf("%d urgent transmissions were dropped", got)
		}
	}
	if got, want := b.urgent.len(), 2*len(all); got != want {
		t.Errorf("%d urgent transmissions wait, want %d: each once", got, want)
	}
}

func TestWhatWasSentCanBeSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, all := newBudget(), addresses(2)
		for range 3 {
			if dropped := b.add(rounds(all, repeated)); dropped != 0 {
				t.Fatalf("%d were dropped", dropped)
			}
			if frames, _ := sent(t, b, time.Second); frames[repeated] != 3 {
				t.Errorf("%d frames, want 3", frames[repeated])
			}
		}
		if n := len(b.waiting); n != 0 {
			t.Errorf("%d are thought to wait", n)
		}
	})
}

func TestAQueueThatIsNeverEmptyDoesNotGrow(t *testing.T) {
	var f fifo
	all := addresses(2)
	f.push(transmission{all[0], "eth0", repeated})
	for i := range 100_000 {
		f.push(transmission{all[(i+1)%2], "eth0", repeated})
		if got := f.items[f.head].owned; got != all[i%2] {
			t.Fatalf("number %d comes out as %v, want %v", i, got.address, all[i%2].address)
		}
		f.pop()
	}
	if f.len() != 1 || cap(f.items) > 16 {
		t.Errorf("%d wait, with room for %d; want 1, and room for a few", f.len(), cap(f.items))
	}
}

func TestAFloodOfUrgentFramesIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget()
		b.add(rounds(addresses(100_000), first))

		frames, _ := sent(t, b, time.Second)

		if got, most := frames[first], frameRate+urgentBurst; got > most || got < frameRate {
			t.Errorf("%d frames in a second, want %d to %d", got, frameRate, most)
		}
	})
}
