package community

import (
	"math/big"
	"regexp"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		in    string
		want  Value
		alias bool
		bad   bool
	}{
		{in: "65535:65281", want: Value{Standard: 0xffffff01}},
		{in: "0:0"},
		{in: "large:4294967295:0:7", want: Value{IsLarge: true, Large: Large{4294967295, 0, 7}}},
		{in: "no-export", alias: true, bad: true},
		{in: "", bad: true},
		{in: "65536:1", bad: true},
		{in: "1:65536", bad: true},
		{in: "-1:1", bad: true},
		{in: "+2:1", bad: true},
		{in: "1:", bad: true},
		{in: "1:2:3", bad: true},
		{in: "big:1:2:3", bad: true},
		{in: "large:1:2:4294967296", bad: true},
		{in: "large:1:2", bad: true},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		if (err != nil) != tt.bad || got != tt.want || IsAlias(tt.in) != tt.alias {
			t.Errorf("Parse(%q) = %v, %v; IsAlias = %v", tt.in, got, err, IsAlias(tt.in))
		}
	}
}

// FuzzParse compares with regular expressions and whole numbers.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"65000:1", "0:0", "65535:65535", "65536:1", "large:1:2:3", "large:4294967295:0:0", "large:4294967296:0:0", "Large:1:2:3",
		"", ":", "::", ":::", "1:", "+1:2", "-1:2", "0x1:2", "1_0:2", "00000000000000000000001:2", " 1:2", "gold", "large", "large:1:2", "1:2:3:4", "\u0661:1"} {
		f.Add(s)
	}
	two, four := regexp.MustCompile(`^([0-9]+):([0-9]+)$`), regexp.MustCompile(`^large:([0-9]+):([0-9]+):([0-9]+)$`)
	f.Fuzz(func(t *testing.T, s string) {
		var want Value
		ok := false
		if m := two.FindStringSubmatch(s); m != nil {
			var n []uint32
			if n, ok = below(1<<16, m[1:]); ok {
				want = Value{Standard: n[0]*65536 + n[1]}
			}
		} else if m := four.FindStringSubmatch(s); m != nil {
			var n []uint32
			if n, ok = below(1<<32, m[1:]); ok {
				want = Value{IsLarge: true, Large: Large{n[0], n[1], n[2]}}
			}
		}
		got, err := Parse(s)
		if (err == nil) != ok || got != want {
			t.Fatalf("Parse(%q) = %+v, %v; the oracle says %+v, %v", s, got, err, want, ok)
		}
		if ok {
			if again, err := Parse(got.String()); err != nil || again != got || IsAlias(s) || IsAlias(got.String()) {
				t.Errorf("%q is written as %q and read as %+v, %v", s, got, again, err)
			}
		}
	})
}

// below reads numbers that are less than limit.
func below(limit int64, texts []string) ([]uint32, bool) {
	var numbers []uint32
	for _, text := range texts {
		n, _ := new(big.Int).SetString(text, 10)
		if n.Cmp(big.NewInt(limit)) >= 0 {
			return nil, false
		}
		numbers = append(numbers, uint32(n.Int64()))
	}
	return numbers, true
}

func TestWellKnown(t *testing.T) {
	for name, want := range map[string]string{
		"no-export": "65535:65281", "NO_EXPORT": "65535:65281", "no-advertise": "65535:65282", "no-export-subconfed": "65535:65283", "local-AS": "65535:65283",
		"no-peer": "65535:65284", "NOPEER": "65535:65284", "graceful-shutdown": "65535:0", "GRACEFUL_SHUTDOWN": "65535:0", "accept-own": "65535:1",
		"llgr-stale": "65535:6", "no-llgr": "65535:7", "blackhole": "65535:666",
	} {
		if got, ok := WellKnown(name); !ok || got.String() != want {
			t.Errorf("WellKnown(%q) = %s, %v; want %s", name, got, ok, want)
		}
		if got, err := ParseDefinition(name); err != nil || got.String() != want {
			t.Errorf("ParseDefinition(%q) = %s, %v; want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"", "gold", "no export", "65535:65281", "internet"} {
		if got, ok := WellKnown(name); ok {
			t.Errorf("WellKnown(%q) = %s", name, got)
		}
	}
	if got, err := ParseDefinition("large:1:2:3"); err != nil || got.String() != "large:1:2:3" {
		t.Errorf("a value: %s, %v", got, err)
	}
	if _, err := ParseDefinition("gold"); err == nil {
		t.Error("the name of an alias is taken for a value")
	}
}
