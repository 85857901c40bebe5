package inspect

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestFilesAreReadAsAWhole exchanges files again and again, as kubelets do: whatever is read was there together.
func TestFilesAreReadAsAWhole(t *testing.T) {
	dir := t.TempDir()
	exchange := func(turn int) error {
		data := strconv.Itoa(turn)
		if err := os.Mkdir(filepath.Join(dir, data), 0o700); err != nil {
			return err
		}
		for _, name := range []string{"a", "b", "c"} {
			if err := os.WriteFile(filepath.Join(dir, data, name), []byte(data), 0o600); err != nil {
				return err
			}
		}
		next := filepath.Join(dir, "next")
		err := errors.Join(os.Symlink(data, next), os.Rename(next, filepath.Join(dir, "data")))
		if err == nil && turn > 0 {
			err = os.RemoveAll(filepath.Join(dir, strconv.Itoa(turn-1)))
		}
		return err
	}
	if err := exchange(0); err != nil {
		t.Fatal(err)
	}
	const turns = 200
	done := make(chan error, 1)
	go func() {
		for turn := range turns {
			if err := exchange(turn + 1); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	path := func(name string) string { return filepath.Join(dir, "data", name) }
	for last := false; ; {
		got, err := Read(path("a"), path("b"), path("c"))
		switch {
		case err == nil && (string(got[0]) != string(got[1]) || string(got[1]) != string(got[2])):
			t.Fatalf("read together: %q", got)
		case last && (err != nil || string(got[0]) != strconv.Itoa(turns)):
			t.Fatalf("in the end: %q, %v", got, err)
		case last:
			return
		}
		select {
		case err := <-done:
			if last = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
	}
}

func TestMissingFilesAreNamed(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "tls.key")
	if _, err := Read("files_test.go", missing); !errors.Is(err, os.ErrNotExist) || err.Error() != "open "+missing+": no such file or directory" {
		t.Errorf("%v", err)
	}
}
