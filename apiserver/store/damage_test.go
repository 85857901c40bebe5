package store

import (
	"bytes"
	"os"
	"testing"
)

// overwrite replaces the beginning of a file with nonsense of the same size.
func overwrite(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 16384), 0); err != nil {
		t.Fatal(err)
	}
}
