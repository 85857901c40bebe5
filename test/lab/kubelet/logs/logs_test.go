package logs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/test/await"
)

const lines = `2026-01-01T00:00:01.000000000Z stdout F one
2026-01-01T00:00:02.000000000Z stderr F two
what is no line of a log
2026-01-01T00:00:03.000000000Z stdout P thr
2026-01-01T00:00:03.500000000Z stdout F ee
2026-01-01T00:00:04.000000000Z stdout F 
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	number := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"all":        {Options{}, "one\ntwo\nthree\n\n"},
		"last":       {Options{Tail: number(3)}, "three\n\n"},
		"none":       {Options{Tail: number(0)}, ""},
		"more":       {Options{Tail: number(100)}, "one\ntwo\nthree\n\n"},
		"since":      {Options{Since: time.Date(2026, 1, 1, 0, 0, 3, 0, time.UTC)}, "three\n\n"},
		"limited":    {Options{Limit: number(5)}, "one\nt"},
		"errors":     {Options{Stream: "stderr"}, "two\n"},
		"with times": {Options{Timestamps: true, Stream: "stderr"}, "2026-01-01T00:00:02.000000000Z two\n"},
	} {
		var out bytes.Buffer
		if err := Read(t.Context(), write(t, lines), c.options, &out); err != nil || out.String() != c.want {
			t.Errorf("%s: %q, %v, want %q", name, out.String(), err, c.want)
		}
	}
}

func TestTailFindsLinesAcrossBlocks(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "2026-01-01T00:00:01.000000000Z stdout F %d%s\n", i, strings.Repeat("x", i%100))
	}
	path := write(t, text.String())
	for _, n := range []int64{1, 2, 1000, 4999, 5000, 5001} {
		var out bytes.Buffer
		if err := Read(t.Context(), path, Options{Tail: &n}, &out); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out.String(), "\n"); got != int(min(n, 5000)) || !strings.HasPrefix(out.String(), fmt.Sprint(max(5000-n, 0))) {
			t.Errorf("the last %d lines are %d, from %.10q", n, got, out.String())
		}
	}
}

func TestWhatIsWrittenIsReadWhileItIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "0.log")
	log, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("y", 3*longest)
	if _, err := fmt.Fprintf(log.Stdout, "first\n%s\nno end", long); err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	read := make(chan error, 1)
	go func() {
		defer writer.Close()
		read <- Read(t.Context(), path, Options{Ended: log.Whole}, writer)
	}()
	first := make([]byte, len("first\n"))
	if _, err := reader.Read(first); err != nil || string(first) != "first\n" {
		t.Errorf("while it is written: %q, %v", first, err)
	}
	if err := log.CloseStreams(); err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	if _, err := rest.ReadFrom(reader); err != nil {
		t.Fatal(err)
	}
	if want := long + "\nno end"; rest.String() != want {
		t.Errorf("%d bytes, want %d", rest.Len(), len(want))
	}
	await.Success(t, "reading to end", func() error { return <-read })
}

func FuzzRead(f *testing.F) {
	for _, line := range append(strings.SplitAfter(lines, "\n"), lines) {
		f.Add([]byte(line), int64(1))
	}
	f.Fuzz(func(t *testing.T, content []byte, tail int64) {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var all, last bytes.Buffer
		if err := Read(t.Context(), path, Options{}, &all); err != nil {
			t.Fatal(err)
		}
		tail = max(tail, 0)
		if err := Read(t.Context(), path, Options{Tail: &tail}, &last); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(all.Bytes(), last.Bytes()) {
			t.Errorf("the last %d lines of %q are %q, all %q", tail, content, last.Bytes(), all.Bytes())
		}
	})
}
