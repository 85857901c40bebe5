package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc/grpclog"
)

// TestWhoHasASay: a request goes before the MetalLB object, that before the flag; each returns when the one before is gone.
func TestWhoHasASay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := NewLevel("warn")
		if err != nil {
			t.Fatal(err)
		}
		var heard []string
		l.Each(func(name string) { heard = append(heard, name) })
		want := func(what, name, by string, level slog.Level) {
			t.Helper()
			synctest.Wait()
			if got, who, _ := l.InForce(); got != name || who != by || l.Level() != level {
				t.Errorf("%s: %s by %s (%v), want %s by %s", what, got, who, l.Level(), name, by)
			}
		}
		object := func(name string) {
			t.Helper()
			if err := l.Object(name); err != nil {
				t.Error(err)
			}
		}
		limit := func(name string, wantPrevious string) (until time.Time) {
			t.Helper()
			previous, until, err := l.Limit(name, time.Minute, time.Now())
			if err != nil || previous != wantPrevious {
				t.Errorf("%s for a minute: previous %s, want %s: %v", name, previous, wantPrevious, err)
			}
			return until
		}
		want("at first", "warn", byFlag, slog.LevelWarn)
		object("debug")
		want("by the object", "debug", byObject, slog.LevelDebug)
		limit("none", "debug")
		want("for a while", "none", byRequest, levelNone)
		<-time.After(59 * time.Second)
		until := limit("all", "debug") // begins anew
		object("error")
		want("the object changes meanwhile", "all", byRequest, LevelAll)
		<-time.After(time.Until(until) - time.Second)
		want("until the end of its time", "all", byRequest, LevelAll)
		<-time.After(2 * time.Second)
		want("afterwards", "error", byObject, slog.LevelError)
		if err := l.Object("loud"); err == nil {
			t.Error("any name is a level")
		}
		want("what is not known changes nothing", "error", byObject, slog.LevelError)
		object("")
		want("the object says nothing", "warn", byFlag, slog.LevelWarn)
		if got := strings.Join(heard, " "); got != "warn debug none all error warn" {
			t.Errorf("told %s", got)
		}
		for _, d := range []time.Duration{0, -1, MaxTime + 1} {
			if _, _, err := l.Limit("info", d, time.Now()); err == nil {
				t.Errorf("for %s: no error", d)
			}
		}
		if err := testutil.CollectAndCompare(l, strings.NewReader(
			"# HELP ingot_log_level 1 for the log level in force, and who has set it: --log-level, the MetalLB object, or somebody's request for a limited time.\n"+
				"# TYPE ingot_log_level gauge\ningot_log_level{by=\"--log-level\",level=\"warn\"} 1\n")); err != nil {
			t.Error(err)
		}
	})
}

// TestEveryLevelShowsWhatItsNameSays goes through all levels in both directions: which lines are there, and that the change is
// told wherever anything is.
func TestEveryLevelShowsWhatItsNameSays(t *testing.T) {
	for _, step := range []struct{ from, to, told, shown string }{
		{"none", "all", "info", "debug debug info warn error"},
		{"all", "debug", "info", "debug info warn error"},
		{"debug", "info", "info", "info warn error"},
		{"info", "warn", "info", "warn error"},
		{"warn", "error", "", "error"},
		{"error", "none", "", ""},
		{"info", "none", "info", ""},
		{"none", "error", "", "error"},
		{"error", "warn", "", "warn error"},
		{"warn", "info", "info", "info warn error"},
		{"info", "debug", "info", "debug info warn error"},
		{"debug", "all", "info", "debug debug info warn error"},
	} {
		t.Run(step.from+" to "+step.to, func(t *testing.T) {
			var out bytes.Buffer
			level, err := NewLevel(step.from)
			if err != nil {
				t.Fatal(err)
			}
			log := New(&out, level)
			level.Tell(log)
			if err := level.Object(step.to); err != nil {
				t.Fatal(err)
			}
			if got := levelsOf(t, &out); got != step.told {
				t.Errorf("told at %q, want %q", got, step.told)
			}
			for _, at := range []slog.Level{LevelAll - 1, LevelAll, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				log.Log(context.Background(), at, "a line")
			}
			if got := levelsOf(t, &out); got != step.shown {
				t.Errorf("shows %q, want %q", got, step.shown)
			}
		})
	}
}

// levelsOf takes the lines written so far, which all have to be JSON.
func levelsOf(t *testing.T, out *bytes.Buffer) string {
	t.Helper()
	var levels []string
	for line := range strings.Lines(out.String()) {
		var keys struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &keys); err != nil || keys.Msg == "" {
			t.Errorf("%q: %v", line, err)
		}
		levels = append(levels, keys.Level)
	}
	out.Reset()
	return strings.Join(levels, " ")
}

// TestLibrariesWriteAsWeDo: Go's log and gRPC's, each line as one of JSON, and nothing at none.
func TestLibrariesWriteAsWeDo(t *testing.T) {
	before := log.Writer()
	t.Cleanup(func() { log.SetOutput(before) })
	var out bytes.Buffer
	for name, want := range map[string]string{"all": "debug debug debug error", "debug": "debug error", "info": "error", "none": ""} {
		level, err := NewLevel(name)
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		Libraries(New(&out, level))
		log.Printf("http: a client went away")
		grpclog.Info("a channel")
		grpclog.Warning("a connection")
		grpclog.Error("two\nlines")
		if got := levelsOf(t, &out); got != want {
			t.Errorf("at %s: %q, want %q", name, got, want)
		}
	}
	if fmt.Sprint(log.Flags()) != "0" {
		t.Error("lines of Go's log have a time in their text")
	}
}
