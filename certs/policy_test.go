package certs

import (
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// hours is a policy in which a CA lives 60 hours from hour 0 (54 after it was made) and is told of for 5.
var hours = Policy{CA: 54 * time.Hour, Leaf: 12 * time.Hour, Overlap: 5 * time.Hour}

// origin is a whole second, as certificates count in them.
var origin = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func at(hour float64) time.Time { return origin.Add(time.Duration(hour * float64(time.Hour))) }

// madeAt returns a CA that is valid for an hour before it was made and 54 after.
func madeAt(t testing.TB, hour float64) *authority {
	t.Helper()
	ca, err := newAuthority(at(hour), hours.CA)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// TestWhatIsDueWhen goes through the life of a CA that was made at hour 1: valid from 0 to 55, to be rotated at 36:40.
func TestWhatIsDueWhen(t *testing.T) {
	young, next := madeAt(t, 1), madeAt(t, 37)
	ends := at(55)
	tests := []struct {
		what    string
		now     float64
		trust   trust
		settled bool
		want    step
		again   time.Time // zero: at once
	}{
		{"young", 2, trust{current: young}, true, stay, at(36).Add(40 * time.Minute)},
		{"not yet published", 2, trust{current: young}, false, stay, at(36).Add(40 * time.Minute)},
		{"asked for", 2, trust{current: young, asked: true}, true, stage, time.Time{}},
		{"two thirds over", 37, trust{current: young}, true, stage, time.Time{}},
		{"two thirds over, and something is not right", 37, trust{current: young}, false, stage, time.Time{}},
		{"next not published", 38, trust{current: young, next: next}, false, stay, ends},
		{"next published", 38, trust{current: young, next: next}, true, stamp, time.Time{}},
		{"next known for too short a time", 42, trust{current: young, next: next, told: at(38)}, true, stay, at(43)},
		{"next known long enough", 43, trust{current: young, next: next, told: at(38)}, true, promote, time.Time{}},
		{"next known, but then somebody forgot", 43, trust{current: young, next: next, told: at(38)}, false, stay, ends},
		{"old one still trusted", 47, trust{current: next, previous: young.certPEM, promoted: at(43)}, true, stay, at(48)},
		{"old one trusted long enough", 48, trust{current: next, previous: young.certPEM, promoted: at(43)}, true, drop, time.Time{}},
		{"old one still shown by somebody", 48, trust{current: next, previous: young.certPEM, promoted: at(43)}, false, stay, at(91)},
		{"expired with the next never published", 55.1, trust{current: young, next: next}, false, promote, time.Time{}},
		{"expired before the next was known long enough", 55.1, trust{current: young, next: next, told: at(54)}, false, promote, time.Time{}},
		{"expired", 55.1, trust{current: young}, true, replace, time.Time{}},
		{"both expired", 92, trust{current: young, next: next, told: at(38)}, true, replace, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			got, again := hours.due(at(tt.now), &tt.trust, tt.settled)
			if tt.again.IsZero() {
				tt.again = at(tt.now)
			}
			if got != tt.want || !again.Equal(tt.again) {
				t.Errorf("at hour %v: %v, again at %v; want %v, %v", tt.now, got, again, tt.want, tt.again)
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	if err := DefaultPolicy.Validate(); err != nil {
		t.Error(err)
	}
	if err := hours.Validate(); err != nil {
		t.Error(err)
	}
	for _, p := range []Policy{
		{CA: time.Hour, Leaf: time.Minute},
		{CA: time.Minute, Leaf: time.Minute, Overlap: 11 * time.Second},
		{CA: time.Hour, Leaf: 2 * time.Hour, Overlap: time.Minute},
		{CA: time.Hour, Leaf: time.Second, Overlap: time.Minute},
	} {
		if p.Validate() == nil {
			t.Errorf("%+v is valid", p)
		}
	}
}

// sighting is what somebody had since some time.
type sighting[T any] struct {
	since time.Time
	what  T
}

// during returns what somebody had at any time from a moment on.
func during[T any](history []sighting[T], from time.Time) (had []T) {
	for i, s := range history {
		if i+1 == len(history) || history[i+1].since.After(from) {
			had = append(had, s.what)
		}
	}
	return had
}

// TestNoClientRefusesAnybody runs the rotation for years of random delays: whoever publishes does so late, replicas hear of
// the Secret late, by up to an overlap. At every moment a client that trusts any bundle that was published within the
// last overlap accepts every certificate that any replica shows.
func TestNoClientRefusesAnybody(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			w := newWorld(t, random)
			for range 1200 {
				w.tick(time.Duration(random.Int64N(int64(time.Hour))))
			}
			if w.rotations < 5 {
				t.Errorf("only %d rotations", w.rotations)
			}
		})
	}
}

// slack is how long publishing may take, in all: a third of the life of a CA but for two overlaps.
const slack = 54*time.Hour/3 - 2*5*time.Hour - 2*time.Hour // less two ticks

// world is an installation without computers.
type world struct {
	t         *testing.T
	random    *rand.Rand
	now       time.Time
	secret    []sighting[*trust]    // what the Secret held, oldest first
	targets   [3][]sighting[[]byte] // what each of those who are told of CAs had
	replicas  [3]replica
	accepted  map[[2]string]bool // bundle and certificate
	rotations int
}

type replica struct {
	trust  *trust // as it last heard of the Secret
	leaf   *leaf
	signer *authority
}

func newWorld(t *testing.T, random *rand.Rand) *world {
	first, err := hours.take(replace, origin, &trust{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, random: random, now: origin, accepted: map[[2]string]bool{}, secret: []sighting[*trust]{{origin, first}}}
	for i := range w.targets {
		w.targets[i] = []sighting[[]byte]{{origin, first.bundle()}}
	}
	for i := range w.replicas {
		w.replicas[i].trust = first
	}
	return w
}

func (w *world) tick(d time.Duration) {
	w.now = w.now.Add(d)
	held := w.secret[len(w.secret)-1]
	settled := true
	for i := range w.targets {
		had := w.targets[i][len(w.targets[i])-1].what
		if string(had) == string(held.what.bundle()) {
			continue
		}
		if w.random.IntN(3) > 0 && w.now.Sub(held.since) < slack/2 {
			settled = false // not yet
			continue
		}
		w.targets[i] = append(w.targets[i], sighting[[]byte]{w.now, held.what.bundle()})
	}
	w.serve()
	w.check()
	s, _ := hours.due(w.now, held.what, settled)
	switch s {
	case stay:
		return
	case replace:
		w.t.Fatalf("hour %v: the CA was lost", w.now.Sub(origin).Hours())
	case drop:
		w.rotations++
	}
	next, err := hours.take(s, w.now, held.what)
	if err != nil {
		w.t.Fatal(err)
	}
	// What is written is read back by others.
	if next, err = next.document().parse(); err != nil {
		w.t.Fatalf("%s: %v", s, err)
	}
	w.secret = append(w.secret, sighting[*trust]{w.now, next})
}

// serve has every replica hear of the Secret as late as it may, and renew what it shows.
func (w *world) serve() {
	for i := range w.replicas {
		r := &w.replicas[i]
		known := during(w.secret, w.now.Add(-hours.Overlap))
		if heard := known[w.random.IntN(len(known))]; w.random.IntN(4) == 0 || !contains(known, r.trust) {
			r.trust = heard
		}
		if r.leaf == nil || !w.now.Before(renewal(r.leaf.pair.Leaf)) || !r.signer.equal(r.trust.current) {
			fresh, err := r.trust.current.issue(w.now, hours.Leaf, []string{"server"}, nil)
			if err != nil {
				w.t.Fatalf("hour %v: %v", w.now.Sub(origin).Hours(), err)
			}
			r.leaf, r.signer = fresh, r.trust.current
		}
	}
}

func contains(all []*trust, one *trust) bool {
	for _, t := range all {
		if t == one {
			return true
		}
	}
	return false
}

func (w *world) check() {
	for i, r := range w.replicas {
		if w.now.After(r.leaf.pair.Leaf.NotAfter) {
			w.t.Fatalf("hour %v: replica %d shows what has expired", w.now.Sub(origin).Hours(), i)
		}
		for _, target := range w.targets {
			for _, bundle := range during(target, w.now.Add(-hours.Overlap)) {
				// A leaf ends with its CA at the latest, so that one look at the signatures is enough.
				key := [2]string{string(bundle), string(r.leaf.certPEM)}
				if w.accepted[key] {
					continue
				}
				roots := x509.NewCertPool()
				roots.AppendCertsFromPEM(bundle)
				if _, err := r.leaf.pair.Leaf.Verify(x509.VerifyOptions{DNSName: "server", Roots: roots, CurrentTime: w.now}); err != nil {
					w.t.Fatalf("hour %v: replica %d is refused: %v", w.now.Sub(origin).Hours(), i, err)
				}
				w.accepted[key] = true
			}
		}
	}
}
