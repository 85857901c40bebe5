package store_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/store"
	"github.com/ingot-lb/ingot/test/await"
	"github.com/ingot-lb/ingot/test/guard"
)

const (
	writers        = 64
	writesByWriter = 25
	// patience bounds what only a defect makes take long.
	patience = 5 * time.Minute
)

// TestNoInvalidConfigurationExists is promise 1 of design.md: 64 writers fight over pools, peers, advertisements and
// profiles through two processes on one etcd, which are stopped, continued, killed and started again meanwhile. Every
// state that etcd ever held is judged, and the answers must be those of one server that takes one write after the other.
func TestNoInvalidConfigurationExists(t *testing.T) {
	f := newFight(t, guarded, seed(t))
	ended := make(chan struct{})
	var disturber sync.WaitGroup
	disturber.Go(func() { f.disturb(ended) })
	f.run()
	close(ended)
	disturber.Wait()

	settled, faults := f.verdict()
	for _, fault := range faults {
		t.Error(fault)
	}
	result, faults := linearizable(settled)
	if result != porcupine.Ok {
		t.Errorf("is the history linearizable? %s", result)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
	f.requireAFight(settled)
}

// TestProofSeesThatTheGuardIsMissing runs the same fight without the comparison of the guard in the transactions, and
// until the proof finds out.
func TestProofSeesThatTheGuardIsMissing(t *testing.T) {
	const rounds = 10
	for round := range rounds {
		f := newFight(t, notComparing, seed(t)+uint64(round))
		f.run()
		settled, faults := f.verdict()
		if len(faults) == 0 {
			continue
		}
		t.Logf("round %d: %d faults; the first: %s", round, len(faults), faults[0])
		if result, _ := linearizable(settled); result != porcupine.Illegal {
			t.Errorf("invalid states, and porcupine says %s of the history", result)
		}
		return
	}
	t.Errorf("no fault in %d rounds of writes that do not compare the guard: the proof proves nothing", rounds)
}

func linearizable(settled []guard.Operation) (porcupine.CheckResult, []string) {
	history, faults := guard.Witness(settled)
	return porcupine.CheckOperationsTimeout(guard.Sequential, history, patience), faults
}

// seed decides what the writers choose. That of a run that failed is given by INGOT_TEST_SEED.
func seed(t *testing.T) uint64 {
	s := rand.Uint64()
	if given := os.Getenv("INGOT_TEST_SEED"); given != "" {
		var err error
		if s, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("INGOT_TEST_SEED: %v", err)
		}
	}
	t.Logf("INGOT_TEST_SEED=%d", s)
	return s
}

// fight is writers, the servers that they write to, and what has happened.
type fight struct {
	t         *testing.T
	ctx       context.Context
	seed      uint64
	etcd      *store.Store
	recording *guard.Recording
	processes []*process
	client    *client

	mu       sync.Mutex
	changed  *sync.Cond // signalled when anything below changes
	clock    int64
	history  []guard.Operation
	writing  int         // writers that have not ended
	inFlight map[int]int // requests by process
	troubled int         // the process that is stopped or starting, or -1
	pauses   int
	kills    int
}

func newFight(t *testing.T, guardOfProcesses string, seed uint64) *fight {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	etcd, err := store.Open(ctx, store.Options{
		DataDir: t.TempDir(), Scheme: install.Scheme, Codec: install.StorageCodec(),
		StorageVersion: install.StorageVersion(install.Scheme), UnsafeNoFsync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() }) // the connections of killed processes do not end well
	f := &fight{t: t, ctx: ctx, seed: seed, etcd: etcd, client: newClient(), writing: writers, inFlight: map[int]int{}, troubled: -1}
	f.changed = sync.NewCond(&f.mu)
	f.recording = guard.Record(ctx, store.Client(etcd))
	for range 2 {
		f.processes = append(f.processes, startProcess(t, store.Endpoint(etcd), guardOfProcesses))
	}
	return f
}

// run returns when all writers have made all their writes.
func (f *fight) run() {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := choices{rand.New(rand.NewPCG(f.seed, uint64(w)))}
			for range writesByWriter {
				o := r.next()
				o.Writer = w
				at, elsewhere := w%2, r.IntN(4) == 0
				if o.Verb == guard.Update {
					read := guard.Operation{Writer: w, Verb: guard.Get, Key: o.Key}
					f.do(&read, at, elsewhere)
					if read.Reason != "" {
						continue
					}
					o.Base = read.Version
				}
				f.do(&o, at, elsewhere)
			}
			f.update(func() { f.writing-- })
		})
	}
	wg.Wait()
}

// do lets a process do one operation and writes down what came of it. A writer goes to the other process than its own
// if it is to, and if that is not in trouble: so some are always able to go on.
func (f *fight) do(o *guard.Operation, at int, elsewhere bool) {
	f.update(func() {
		if other := 1 - at; elsewhere && f.troubled != other {
			at = other
		}
		f.inFlight[at]++
		f.clock++
		o.Called = f.clock
		o.ID = int(f.clock)
	})
	err := f.client.do(f.ctx, f.processes[at].address(), o)
	if err != nil {
		f.t.Error(err)
	}
	f.update(func() {
		f.inFlight[at]--
		f.clock++
		o.Returned = f.clock
		f.history = append(f.history, *o)
	})
}

func (f *fight) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.changed.Broadcast()
}

// disturb stops or kills one process after the other until ended is closed. It measures time in answers.
func (f *fight) disturb(ended <-chan struct{}) {
	r := rand.New(rand.NewPCG(f.seed, writers))
	for {
		f.await(80+r.IntN(60), -1)
		select {
		case <-ended:
			return
		default:
		}
		which := r.IntN(len(f.processes))
		p := f.processes[which]
		f.update(func() { f.troubled = which })
		if r.IntN(2) == 0 {
			p.signal(syscall.SIGSTOP)
			f.update(func() { f.pauses++ })
			f.await(20+r.IntN(60), which)
			p.signal(syscall.SIGCONT)
		} else {
			p.kill()
			f.update(func() { f.kills++ })
			p.start()
		}
		f.update(func() { f.troubled = -1 })
	}
}

// await returns after so many answers, or when no more will come: because the writers have ended, or all that have
// not wait for the process that is stopped (-1: none).
func (f *fight) await(answers, stopped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	until := len(f.history) + answers
	for len(f.history) < until && f.writing > 0 && (stopped < 0 || f.inFlight[stopped] < f.writing) {
		f.changed.Wait()
	}
}

// verdict waits until the recording has everything, and judges it.
func (f *fight) verdict() (settled []guard.Operation, faults []string) {
	f.t.Helper()
	// Nobody writes any more when the processes have ended, answered or not.
	for _, p := range f.processes {
		p.kill()
	}
	_, last, err := f.etcd.Snapshot(f.ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	await.True(f.t, "everything is recorded", func() bool {
		revision, err := f.recording.Revision()
		if err != nil {
			f.t.Fatal(err)
		}
		return revision >= last
	})
	commits := f.recording.Commits()
	settled, faults = guard.Settle(f.history, commits)
	return settled, append(faults, guard.Judge(commits)...)
}

// requireAFight makes sure that the run was one that could have shown something.
func (f *fight) requireAFight(settled []guard.Operation) {
	f.t.Helper()
	byReason := map[string]int{}
	verbs := map[guard.Verb]int{}
	for _, o := range f.history {
		byReason[o.Reason]++
		switch o.Reason {
		case "":
			verbs[o.Verb]++
		case guard.TooManyRequests:
			if strings.Contains(o.Message, "came first") {
				f.t.Errorf("a writer starved: %v", o)
			}
		}
	}
	f.t.Logf("%d operations, %d pauses, %d kills; answers %v; successes %v", len(f.history), f.pauses, f.kills, byReason, verbs)
	for _, verb := range []guard.Verb{guard.Create, guard.Update, guard.Patch, guard.Apply, guard.Delete, guard.Get} {
		if verbs[verb] < 10 {
			f.t.Errorf("%d successes of %s: too few to have shown anything", verbs[verb], verb)
		}
	}
	if byReason[guard.Invalid] < 50 || f.pauses+f.kills < 4 {
		f.t.Errorf("%d refusals, %d pauses and %d kills: too few to have shown anything", byReason[guard.Invalid], f.pauses, f.kills)
	}
	if lost := len(f.history) - len(settled); lost > len(f.history)/3 {
		f.t.Errorf("%d of %d operations have no answer: too many", lost, len(f.history))
	}
}
