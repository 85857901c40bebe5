package metallb

import (
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
)

// FuzzDuration compares with the standard library, and with exact arithmetic on what looks like a duration.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"90s", "1m30s", "1.5h", "-3s", "0", "+0", "", "s", ".s", "1", "9223372036854775807ns",
		"9223372036854775808ns", "-9223372036854775808ns", "1h1h", "1e3s", "0x1s", "3µs", "3μs", "1d", "1 s", "0.000000000000000000001s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Duration(s).Parse()
		want, wantErr := time.ParseDuration(s)
		if got != want || (err == nil) != (wantErr == nil) {
			t.Fatalf("%q is %v, %v; the standard library says %v, %v", s, got, err, want, wantErr)
		}
		if exact, ok := exactly(s); err == nil && ok {
			if off := new(big.Rat).Sub(exact, new(big.Rat).SetInt64(int64(got))); off.Abs(off).Cmp(tolerance(s)) >= 0 {
				t.Errorf("%q is %v, off by %s ns", s, got, off.FloatString(3))
			}
		}
	})
}

var (
	whole = regexp.MustCompile(`^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*$`)
	part  = regexp.MustCompile(`(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)`)
	units = map[string]int64{"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}
)

// exactly is a duration in nanoseconds.
func exactly(s string) (*big.Rat, bool) {
	if !whole.MatchString(s) || len(s) > 200 {
		return nil, false
	}
	sum := new(big.Rat)
	for _, p := range part.FindAllStringSubmatch(s, -1) {
		n, ok := new(big.Rat).SetString("0" + strings.TrimSuffix(p[1], "."))
		if !ok {
			return nil, false
		}
		sum.Add(sum, n.Mul(n, new(big.Rat).SetInt64(units[p[2]])))
	}
	if strings.HasPrefix(s, "-") {
		sum.Neg(sum)
	}
	return sum, true
}

// tolerance is one nanosecond, and a little, for each part: fractions are cut off.
func tolerance(s string) *big.Rat {
	return new(big.Rat).SetInt64(int64(2 * len(part.FindAllString(s, -1))))
}
