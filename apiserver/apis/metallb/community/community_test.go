package community

import "testing"

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

func FuzzParse(f *testing.F) {
	for _, s := range []string{"65535:65281", "large:1:2:3", "no-export", "1:2:3", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(v.String()); err != nil || again != v {
			t.Errorf("%q reads as %v, which reads as %v, %v", s, v, again, err)
		}
	})
}
