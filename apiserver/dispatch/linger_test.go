package dispatch

import (
	"testing"
	"time"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func TestLinger(t *testing.T) {
	type config = metallb.Configuration
	var a, b, c config
	start := time.Now()
	always := func(*config, *config) bool { return true }
	never := func(*config, *config) bool { return false }
	onlyFrom := func(x *config) func(*config, *config) bool {
		return func(before, _ *config) bool { return before == x }
	}

	var l linger
	steps := []struct {
		says     string
		newest   *config
		at       time.Duration
		stranded func(before, after *config) bool
		want     *config
		again    time.Duration // 0: not needed
	}{
		{"the first is taken as it is", &a, 0, always, &a, 0},
		{"unchanged", &a, time.Second, always, &a, 0},
		{"a pool left a Service behind", &b, 2 * time.Second, onlyFrom(&a), &a, 7 * time.Second},
		{"still", &b, 4 * time.Second, onlyFrom(&a), &a, 7 * time.Second},
		{"another change does not start the time again", &c, 6 * time.Second, onlyFrom(&a), &a, 7 * time.Second},
		{"the controller has moved the Service", &c, 6500 * time.Millisecond, never, &c, 0},
		{"the next time starts anew", &b, 8 * time.Second, onlyFrom(&c), &c, 13 * time.Second},
		{"nobody moved it: the configuration is the user's word", &b, 13 * time.Second, onlyFrom(&c), &b, 0},
	}
	for i, s := range steps {
		got, revision, again := l.choose(s.newest, int64(i), start.Add(s.at), s.stranded)
		if got != s.want {
			t.Errorf("%s: the wrong configuration is in force", s.says)
		}
		if got == s.newest && revision != int64(i) {
			t.Errorf("%s: revision %d, want %d", s.says, revision, i)
		}
		if want := start.Add(s.again); s.again != 0 && !again.Equal(want) || s.again == 0 && !again.IsZero() {
			t.Errorf("%s: again at %v", s.says, again.Sub(start))
		}
	}
}
