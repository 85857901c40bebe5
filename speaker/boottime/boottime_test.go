package boottime

import "testing"

func TestTimeGoesOn(t *testing.T) {
	first := Now()
	for range 1000 {
		now := Now()
		if now < first {
			t.Fatalf("%s after %s", now, first)
		}
		if now > first {
			return
		}
	}
	t.Errorf("it is %s all the time", first)
}
