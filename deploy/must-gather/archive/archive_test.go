package archive

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/deploy/must-gather/redact"
)

func unpack(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			files[h.Name] = string(content)
		}
	}
}

func TestWhatIsLearnedLaterIsHiddenInWhatWasWrittenBefore(t *testing.T) {
	root, secret := filepath.Join(t.TempDir(), "tree"), redact.New()
	tree, err := New(root, false, secret)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := tree.Write(Entry{Path: "a/early.log", Command: "logs --of hunter2hunter2", Started: began}, []byte("said hunter2hunter2\n"), false); err != nil {
		t.Fatal(err)
	}
	tree.Note(Entry{Command: "logs x", Started: began, Exit: 1, Error: "no hunter2hunter2"})
	secret.Learn("hunter2hunter2")
	if err := tree.Close(map[string]string{"command": "gather hunter2hunter2"}); err != nil {
		t.Fatal(err)
	}
	file := root + ".tar.gz"
	if err := Tar(root, file); err != nil {
		t.Fatal(err)
	}
	got := unpack(t, file)
	if want := "said <redacted>\n"; got["tree/a/early.log"] != want {
		t.Errorf("the early file: %q, want %q", got["tree/a/early.log"], want)
	}
	var index struct{ Entries []Entry }
	if err := json.Unmarshal([]byte(got["tree/index.json"]), &index); err != nil {
		t.Fatal(err)
	}
	want := []Entry{
		{Command: "logs x", Started: began, Exit: 1, Error: "no <redacted>"},
		{Path: "a/early.log", Command: "logs --of <redacted>", Started: began, Bytes: len("said hunter2hunter2\n")},
	}
	for i, e := range index.Entries {
		index.Entries[i].Command = strings.ReplaceAll(e.Command, `\u003c`, "<")
	}
	if diff := cmp.Diff(want, index.Entries); diff != "" {
		t.Errorf("index: -want +got:\n%s", diff)
	}
	for name, content := range got {
		if strings.Contains(content, "hunter2") {
			t.Errorf("%s: %s", name, content)
		}
	}
	for _, line := range []string{"NOT COLLECTED", "no <redacted>", "a/early.log"} {
		if !strings.Contains(got["tree/index.txt"], line) {
			t.Errorf("index.txt does not say %q:\n%s", line, got["tree/index.txt"])
		}
	}
}

func TestOnlyAnEmptyDirectoryIsWrittenTo(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(root, false, redact.New()); err == nil || !strings.Contains(err.Error(), "mine") {
		t.Errorf("got %v", err)
	}
	if _, err := New(root, true, redact.New()); err != nil {
		t.Errorf("a shared one: %v", err)
	}
}

func TestNothingIsWrittenOutsideOfTheTree(t *testing.T) {
	tree, err := New(t.TempDir(), false, redact.New())
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Write(Entry{Path: "../outside"}, nil, false); err == nil {
		t.Error("it was written")
	}
	for name, want := range map[string]string{"node-1.example": "node-1.example", "../x": ".._x", "..": "_..", "a/b": "a_b", "": "_"} {
		if got := Name(name); got != want {
			t.Errorf("Name(%q) = %q, want %q", name, got, want)
		}
	}
}
