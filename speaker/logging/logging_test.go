package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"testing"
)

// TestLinesAreMetalLBs: keys in order, the time to the second, the level in lower case, errors as text.
func TestLinesAreMetalLBs(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	log := New(&out, &level).With("service", "a/b")
	log.Debug("not written")
	log.Info("IP address assigned by controller", "event", "ipAllocated", "ip", []string{"192.0.2.1"}, "pool", "<p> & \"q\"")
	log.Error("IP allocation failed", "op", "allocateIPs", "error", errors.New("no"), "service", "c/d", "n", int64(9007199254740993))
	want := regexp.MustCompile(`^\{"caller":"logging_test\.go:\d+","event":"ipAllocated","ip":\["192\.0\.2\.1"\],"level":"info","msg":"IP address assigned by controller","pool":"<p> & \\"q\\"","service":"a/b","ts":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}
\{"caller":"logging_test\.go:\d+","error":"no","level":"error","msg":"IP allocation failed","n":9007199254740993,"op":"allocateIPs","service":"c/d","ts":"[^"]+"\}
$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("got:\n%s\nwant:\n%s", &out, want)
	}
}

func TestLevels(t *testing.T) {
	for _, name := range Levels {
		if _, err := ParseLevel(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("any name is a level")
	}
}

// FuzzSorted: a line comes out as one line that says the same, whatever it is.
func FuzzSorted(f *testing.F) {
	f.Add([]byte(`{"b":1,"a":{"z":[1,2],"y":"<"},"b":2}` + "\n"))
	f.Add([]byte("I1122 no JSON\n"))
	f.Add([]byte("null\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		var out bytes.Buffer
		n, err := sorted{&out}.Write(line)
		if n != len(line) || err != nil {
			t.Fatalf("%d of %d bytes, %v", n, len(line), err)
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal(line, &before) != nil || before == nil {
			if !bytes.Equal(line, out.Bytes()) {
				t.Errorf("%q became %q", line, &out)
			}
			return
		}
		if err := json.Unmarshal(out.Bytes(), &after); err != nil || len(before) != len(after) || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
			t.Errorf("%q became %q: %v", line, &out, err)
		}
	})
}
