package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/deploy/image/archive"
)

// TestTheSameSourceGivesTheSameBytes builds the smallest of the programs for both architectures, as `make images` does, and its
// image: twice, in directories of other names, under other umasks, from files of other times and at another time.
func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	var made [2]map[string]string
	for n, umask := range []int{0o022, 0o077} {
		previous := syscall.Umask(umask)
		made[n] = makeImages(t, filepath.Join(t.TempDir(), strings.Repeat("x", 1+7*n)), time.Unix(int64(1+n), 0))
		syscall.Umask(previous)
	}
	if diff := cmp.Diff(made[0], made[1]); diff != "" {
		t.Error("a second time, something else is made: ", diff)
	}
	for _, name := range []string{"must-gather.tar", "must-gather-linux-amd64.spdx.json", "must-gather-linux-arm64.spdx.json", "SHA256SUMS", "images.txt"} {
		if made[0][name] == "" {
			t.Errorf("no %s is made", name)
		}
	}
	if len(made[0]) != 5 {
		t.Errorf("%d files are made, want 5", len(made[0]))
	}
}

// makeImages copies the source to a directory, builds it there, and returns a sum of each file that is made.
func makeImages(t *testing.T, dir string, modified time.Time) map[string]string {
	t.Helper()
	source := filepath.Join(dir, "source")
	copySource(t, source, modified)
	programs := filepath.Join(dir, "programs")
	for _, architecture := range []string{"amd64", "arm64"} {
		command := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(programs, architecture)+"/", "-ldflags", "-s -w -X main.version=v1", "./deploy/must-gather")
		command.Dir = source
		command.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
		program := filepath.Join(programs, architecture, "must-gather")
		if content, err := os.ReadFile(program); err != nil || bytes.Contains(content, []byte(dir)) {
			t.Errorf("%s has the name of its directory in it, or %v", program, err)
		}
		if err := os.Chtimes(program, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	o := options{programs: programs, out: filepath.Join(dir, "out"), architectures: "amd64 arm64", only: "ingot/must-gather", release: archive.Release{Version: "v1", Revision: "c0ffee"}}
	if err := run(o, "1700000000", io.Discard); err != nil {
		t.Fatal(err)
	}
	made := map[string]string{}
	files, err := os.ReadDir(o.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(o.out, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		made[f.Name()] = sum(content)
	}
	return made
}

// copySource copies what the program is made of: the module's files, and our packages in it.
func copySource(t *testing.T, to string, modified time.Time) {
	t.Helper()
	top := filepath.Join("..", "..", "..")
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{$d := .Dir}}{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`, "./deploy/must-gather")
	list.Dir, list.Env = top, append(os.Environ(), "GOWORK=off")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	absolute, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(strings.Fields(string(out)), filepath.Join(absolute, "go.mod"), filepath.Join(absolute, "go.sum")) {
		relative, err := filepath.Rel(absolute, file)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(to, relative)
		if err := os.MkdirAll(filepath.Dir(target), fs.ModePerm); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, content, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(target, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatIsRefused: nothing is made of a version that is no tag, of a time that is none, or of programs that are not there.
func TestWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, created, want string
		o                   options
	}{
		{"no time", "", "time of the release", options{release: archive.Release{Version: "v1"}}},
		{"version", "1", "no tag", options{release: archive.Release{Version: "v1+dirty"}}},
		{"program", "1", "no such file", options{release: archive.Release{Version: "v1"}}},
		{"image", "1", "no image", options{only: "ingot/frr", release: archive.Release{Version: "v1"}}},
	} {
		c.o.architectures, c.o.out, c.o.programs = "amd64", t.TempDir(), t.TempDir()
		if err := run(c.o, c.created, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if files, err := os.ReadDir(c.o.out); err != nil || len(files) != 0 {
			t.Errorf("%s: leaves %v, %v", c.name, files, err)
		}
	}
}

func sum(content []byte) string {
	return fmt.Sprintf("%d bytes, %x", len(content), sha256.Sum256(content))
}
