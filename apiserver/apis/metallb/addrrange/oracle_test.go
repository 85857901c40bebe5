package addrrange

import (
	"math"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// FuzzParse compares with the same arithmetic on whole numbers, of which one family's are below 2^32, and with the
// standard library's other parser, which MetalLB uses.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.0.0.0/24", "10.0.0.1 - 10.0.0.9", "::/0", "0.0.0.0/0", "::ffff:1.2.3.4/96", "::ffff:1.2.3.4/95", "a-b", "-", "/",
		"10.0.0.77/28", "1.2.3.4", "2001:db8::1-2001:db8::ffff", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "::ffff:10.0.0.1-10.0.0.2", "fe80::1%e/64",
		"fe80::1%e-fe80::2", "010.0.0.0/8", "10.0.0.0/08", "10.0.0.0/+8", "255.255.255.255/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
		"1.2.3.4-1.2.3.5-1.2.3.6", "\u00a010.0.0.1-10.0.0.2", "10.0.0.0/24\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		want, ok := wholeNumbers(s)
		if (err == nil) != ok {
			t.Fatalf("Parse(%q) = %v, %v; the oracle says %v", s, r, err, ok)
		}
		if err != nil {
			if r != (Range{}) {
				t.Errorf("Parse(%q) fails and returns %v", s, r)
			}
			return
		}
		if number(r.First()).Cmp(want.first) != 0 || number(r.Last()).Cmp(want.last) != 0 || r.Is4() != want.is4 {
			t.Fatalf("Parse(%q) = %v, want %v", s, r, want)
		}
		if _, block, err := net.ParseCIDR(s); err == nil && !strings.Contains(s, "-") && !strings.Contains(s, ":") {
			if block.String() != r.String() {
				t.Errorf("Parse(%q) = %v, net.ParseCIDR says %v", s, r, block)
			}
		}
		checkRange(t, r, want)
	})
}

// checkRange compares what a range says of itself.
func checkRange(t *testing.T, r Range, want numbers) {
	t.Helper()
	if again, err := Parse(r.String()); err != nil || again != r {
		t.Errorf("%v reads back as %v, %v", r, again, err)
	}
	count := new(big.Int).Sub(want.last, want.first)
	count.Add(count, big.NewInt(1))
	capped := int64(math.MaxInt64)
	if count.IsInt64() {
		capped = count.Int64()
	}
	if r.Count() != capped {
		t.Errorf("%v counts %d, want %d", r, r.Count(), capped)
	}
	sum, widest := new(big.Int), r.First().BitLen()
	for _, p := range r.Prefixes() {
		if p.Masked() != p || !r.Contains(p.Addr()) {
			t.Errorf("%v has the prefix %v", r, p)
		}
		sum.Add(sum, new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits())))
		widest = min(widest, p.Bits())
	}
	if sum.Cmp(count) != 0 || r.WidestBits() != widest {
		t.Errorf("%v: its prefixes hold %v addresses of %v; the widest is %d, want %d", r, sum, count, r.WidestBits(), widest)
	}
	if before := r.First().Prev(); r.Contains(before) || r.Contains(r.Last().Next()) || !r.Contains(r.First()) || !r.Contains(r.Last()) {
		t.Errorf("%v does not hold exactly what lies between its ends", r)
	}
}

// numbers is a range of addresses as integers.
type numbers struct {
	first, last *big.Int
	is4         bool
}

func number(a netip.Addr) *big.Int { return new(big.Int).SetBytes(a.AsSlice()) }

// wholeNumbers is Parse by other means.
func wholeNumbers(s string) (numbers, bool) {
	var none numbers
	if from, to, isRange := strings.Cut(s, "-"); isRange {
		first, firstIs4, ok := address(strings.TrimSpace(from))
		last, lastIs4, ok2 := address(strings.TrimSpace(to))
		if !ok || !ok2 || firstIs4 != lastIs4 || first.Cmp(last) > 0 {
			return none, false
		}
		return numbers{first, last, firstIs4}, true
	}
	text, length, ok := strings.Cut(s, "/")
	bits, good := map[string]int{}, ok
	for i := range 129 {
		bits[big.NewInt(int64(i)).String()] = i
	}
	n, known := bits[length]
	first, is4, valid := address(text)
	if !good || !known || !valid {
		return none, false
	}
	width := 128
	if is4 {
		width = 32
		if strings.Contains(text, ":") { // IPv4 in IPv6
			n -= 96
		}
	}
	if n < 0 || n > width {
		return none, false
	}
	first.Rsh(first, uint(width-n)).Lsh(first, uint(width-n))
	last := new(big.Int).Lsh(big.NewInt(1), uint(width-n))
	return numbers{first, last.Add(last, first).Sub(last, big.NewInt(1)), is4}, true
}

// address reads with package net instead of netip.
func address(s string) (value *big.Int, is4, ok bool) {
	ip := net.ParseIP(s)
	if ip == nil {
		return nil, false, false
	}
	if v4 := ip.To4(); v4 != nil {
		return new(big.Int).SetBytes(v4), true, true
	}
	return new(big.Int).SetBytes(ip), false, true
}
