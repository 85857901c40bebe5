package writer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/conditions"
)

// memory is Objects in memory.
type memory struct {
	mu      sync.Mutex
	config  *metallb.Configuration
	stored  map[types.UID][]metav1.Condition
	version int
	lists   int
	writes  []write
	fail    error
	busy    int
	most    int // that were written at once
}

type write struct {
	name string
	at   time.Time
}

func (m *memory) List(_ context.Context, _ bool) ([]metallb.Conditioned, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists++
	var all []metallb.Conditioned
	for _, p := range m.config.IPAddressPools {
		p = p.DeepCopy()
		p.Status.Conditions, p.ResourceVersion = m.stored[p.UID], strconv.Itoa(m.version)
		all = append(all, p)
	}
	return all, nil
}

func (m *memory) Apply(_ context.Context, v conditions.Verdict) (string, error) {
	m.mu.Lock()
	m.busy++
	m.most = max(m.most, m.busy)
	m.mu.Unlock()
	time.Sleep(time.Millisecond) // of the test's own clock
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy--
	m.writes = append(m.writes, write{v.Object.GetName(), time.Now()})
	if m.fail != nil {
		return "", m.fail
	}
	m.version++
	m.stored[v.Object.GetUID()] = v.Conditions
	return strconv.Itoa(m.version), nil
}

// written returns the writes since the last call.
func (m *memory) written() []write {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.writes
	m.writes = nil
	return w
}

func pools(n int) *metallb.Configuration {
	c := &metallb.Configuration{L2Advertisements: nil}
	for i := range n {
		name := fmt.Sprintf("pool-%05d", i)
		c.IPAddressPools = append(c.IPAddressPools, &metallb.IPAddressPool{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: 1, CreationTimestamp: metav1.NewTime(time.Unix(int64(i), 0))},
			Spec:       metallb.IPAddressPoolSpec{Addresses: []string{fmt.Sprintf("10.%d.%d.0/32", i/256, i%256)}},
		})
	}
	return c
}

// lab runs a writer in a bubble of its own clock.
func lab(t *testing.T, c *metallb.Configuration, test func(m *memory, w *Writer, set func(*metallb.Configuration))) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{config: c, stored: map[types.UID][]metav1.Condition{}}
		w := New(m, nil)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.Run(ctx) }()
		set := func(c *metallb.Configuration) {
			m.mu.Lock()
			m.config = c
			m.mu.Unlock()
			w.Set(1, func() conditions.Input { return conditions.Input{Config: c} })
		}
		test(m, w, set)
		cancel()
		<-ended
	})
}

// changed is c with another generation of its first pool.
func changed(c *metallb.Configuration) *metallb.Configuration {
	next := *c
	next.IPAddressPools = append([]*metallb.IPAddressPool{c.IPAddressPools[0].DeepCopy()}, c.IPAddressPools[1:]...)
	next.IPAddressPools[0].Generation++
	return &next
}

func TestOnlyChangesAreWritten(t *testing.T) {
	c := pools(3)
	lab(t, c, func(m *memory, w *Writer, set func(*metallb.Configuration)) {
		set(c)
		time.Sleep(100 * time.Millisecond)
		if n := len(m.written()); n != 3 {
			t.Errorf("%d writes in the beginning, want 3", n)
		}
		for range 100 {
			set(c)
			time.Sleep(time.Second)
		}
		if writes := m.written(); len(writes) != 0 {
			t.Errorf("written though nothing changed: %v", writes)
		}
		set(changed(c))
		time.Sleep(100 * time.Millisecond)
		if writes := m.written(); len(writes) != 1 || writes[0].name != "pool-00000" {
			t.Errorf("after a change of one: %v", writes)
		}
	})
}

func TestAnObjectIsWrittenAtMostOnceASecond(t *testing.T) {
	c := pools(1)
	lab(t, c, func(m *memory, w *Writer, set func(*metallb.Configuration)) {
		for range 200 {
			set(c)
			time.Sleep(20 * time.Millisecond)
			c = changed(c)
		}
		time.Sleep(2 * time.Second)
		writes := m.written()
		for i := 1; i < len(writes); i++ {
			if gap := writes[i].at.Sub(writes[i-1].at); gap < pause {
				t.Errorf("write %d came %v after the one before", i, gap)
			}
		}
		if len(writes) < 4 || len(writes) > 6 {
			t.Errorf("%d writes in 4 seconds", len(writes))
		}
		if got := m.stored["pool-00000"][0].ObservedGeneration; got != 200 {
			t.Errorf("the last generation observed is %d, want 200", got)
		}
	})
}

func TestManyObjectsAreWrittenAtABoundedRate(t *testing.T) {
	c := pools(10_000)
	lab(t, c, func(m *memory, w *Writer, set func(*metallb.Configuration)) {
		set(c)
		time.Sleep(10 * time.Second)
		if n := len(m.written()); n == 0 || n > burst+10*rate {
			t.Errorf("%d writes in 10 seconds", n)
		}
		// Whoever writes one now does not wait for the rest.
		fresh := pools(10_001)
		next := *fresh
		copy(next.IPAddressPools, c.IPAddressPools)
		set(&next)
		time.Sleep(time.Second)
		found := false
		for _, x := range m.written() {
			found = found || x.name == "pool-10000"
		}
		if !found {
			t.Error("the youngest object waits for all others")
		}
		time.Sleep(2 * time.Minute)
		if len(m.stored) != 10_001 || m.most > workers {
			t.Errorf("%d objects have conditions; at most %d writes at once", len(m.stored), m.most)
		}
	})
}

func TestFailedWritesBackOff(t *testing.T) {
	c := pools(1)
	lab(t, c, func(m *memory, w *Writer, set func(*metallb.Configuration)) {
		m.fail = errors.New("no etcd")
		set(c)
		time.Sleep(5 * time.Minute)
		if n := len(m.written()); n < 5 || n > 200 {
			t.Errorf("%d tries in five minutes", n)
		}
		m.mu.Lock()
		m.fail = nil
		m.mu.Unlock()
		time.Sleep(2 * retryLast)
		if n := len(m.written()); n != 1 {
			t.Errorf("%d writes after that", n)
		}
	})
}

func TestANewLeaderWritesNothingThatIsThere(t *testing.T) {
	c := pools(3)
	lab(t, c, func(m *memory, w *Writer, set func(*metallb.Configuration)) {
		set(c)
		time.Sleep(time.Second)
		m.written()
		next := New(m, nil)
		ctx, cancel := context.WithCancel(context.Background()) // of this bubble
		ended := make(chan struct{})
		go func() { defer close(ended); next.Run(ctx) }()
		w.Set(0, nil)
		next.Set(2, func() conditions.Input { return conditions.Input{Config: c} })
		time.Sleep(time.Minute)
		next.Set(0, nil)
		w.Set(3, func() conditions.Input { return conditions.Input{Config: c} })
		time.Sleep(time.Minute)
		cancel()
		<-ended
		if writes := m.written(); len(writes) != 0 {
			t.Errorf("written: %v", writes)
		}
	})
}

func TestWhatOthersBreakIsMended(t *testing.T) {
	c := pools(1)
	lab(t, c, func(m *memory, w *Writer, set func(*metallb.Configuration)) {
		set(c)
		time.Sleep(time.Second)
		m.mu.Lock()
		m.stored["pool-00000"] = nil
		m.version++
		m.mu.Unlock()
		time.Sleep(2 * relist)
		if m.stored["pool-00000"] == nil {
			t.Error("conditions that somebody removed do not come back")
		}
	})
}
