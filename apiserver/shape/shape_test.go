package shape

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLimits(t *testing.T) {
	limits := Limits{Depth: 3, Members: 4, Key: 5, Name: 6}
	tests := []struct{ name, body, says string }{
		{"as deep as may be", `{"a":[{"b":1}]}`, ""},
		{"one deeper", `{"a":[{"b":[]}]}`, "nested more than 3 levels"},
		{"side by side", `[[],[],[],[],[],[],[]]`, ""},
		{"brackets in texts", `{"a":"{[{[{["}`, ""},
		{"escaped quotes", `{"a":["\"","\\","{[{[{["]}`, ""},
		{"as many as may be", `{"a":1,"b":1,"c":1,"d":1}`, ""},
		{"one more", `{"a":1,"b":1,"c":1,"d":1,"e":1}`, "more than 4 fields"},
		{"long lists", `[1,1,1,1,1,1,1,1,1]`, ""},
		{"commas in texts", `{"a":",,,,,,"}`, ""},
		{"as long as may be", `{"12345":"123456"}`, ""},
		{"longer key", `{"123456":1}`, "longer than 5 bytes"},
		{"longer text", `{"a":"1234567"}`, "longer than 6 bytes"},
		{"longer text within", `{"a":{"b":"1234567"}}`, "longer than 6 bytes"},
		{"far within", `{"a":{"b":{"c":"1234567"}}}`, ""},
		{"in a list", `{"a":["1234567"]}`, ""},
		{"no objects", `"1234567" nothing 1 ]]}} ,,,`, ""},
		{"brackets that close nothing", `[]]}}{"a":1}`, ""},
		{"block", "a: 1\nb:\n  c: 1\n  d: 1\n", ""},
		{"block with more", "a: 1\nb:\n  c: 1\n  d: 1\n  e: 1\n", "more than 4 fields"},
		{"block with addresses", "a:\n- 2001:db8::1\n- 2001:db8::2\n- 2001:db8::3\n- 2001:db8::4\n", ""},
		{"nothing", "", ""},
		{"blanks", " \n\t", ""},
	}
	for _, tt := range tests {
		for how, from := range map[string]io.Reader{"at once": strings.NewReader(tt.body), "by the byte": iotest.OneByteReader(strings.NewReader(tt.body))} {
			got, err := io.ReadAll(NewReader(from, limits))
			if tt.says == "" {
				if err != nil || string(got) != tt.body {
					t.Errorf("%s, %s: read %q, %v", tt.name, how, got, err)
				}
				continue
			}
			var beyond *Error
			if !errors.As(err, &beyond) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s, %s: %v, want an error with %q", tt.name, how, err, tt.says)
			}
		}
	}
}

// FuzzReader: what passes is what was sent, and JSON that passes is within the limits.
func FuzzReader(f *testing.F) {
	for _, body := range []string{`{"a":[{"b":1}]}`, `[[[[]]]]`, `{"a":1,"b":1,"c":1,"d":1,"e":1}`, `"\\\"{"`, "a: 1\n"} {
		f.Add(body)
	}
	limits := Limits{Depth: 3, Members: 4, Key: 5}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := io.ReadAll(NewReader(strings.NewReader(body), limits))
		if err == nil && string(got) != body {
			t.Fatalf("%q is read as %q", body, got)
		}
		var tree any
		if json.Unmarshal([]byte(body), &tree) != nil {
			return
		}
		// Repeated members are counted by the reader and not by the tree, so the tree is never more.
		if depth, members := measure(tree); err == nil && (depth > limits.Depth || members > limits.Members) {
			t.Errorf("%q passes: depth %d, members %d", body, depth, members)
		}
	})
}

func measure(tree any) (depth, members int) {
	var within []any
	switch tree := tree.(type) {
	case map[string]any:
		for _, v := range tree {
			within = append(within, v)
		}
		members = len(tree)
	case []any:
		within = tree
	default:
		return 0, 0
	}
	for _, v := range within {
		d, m := measure(v)
		depth, members = max(depth, d), max(members, m)
	}
	return depth + 1, members
}
