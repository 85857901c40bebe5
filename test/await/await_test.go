package await

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test that notes how it ended instead of ending.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) { r.fatal = fmt.Sprintf(format, args...) }

func TestReturnsWhenTheConditionHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		True(t, "a second to pass", func() bool { return time.Since(began) >= time.Second })
		if took := time.Since(began); took > time.Second+period {
			t.Errorf("took %v, want a second", took)
		}
	})
}

func TestGivesUpWithTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		tries := 0
		Success(r, "the impossible", func() error { tries++; return errors.New("away") })
		if !strings.Contains(r.fatal, "the impossible: away") || tries < 2 {
			t.Errorf("after %d tries the test ended with %q", tries, r.fatal)
		}
	})
}

func TestOwnPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{TB: t}
		began := time.Now()
		SuccessWithin(r, time.Second, "the impossible", func() error { return errors.New("away") })
		if took := time.Since(began); took != time.Second || !strings.Contains(r.fatal, "not within 1s: the impossible: away") {
			t.Errorf("after %v the test ended with %q", took, r.fatal)
		}
	})
}
