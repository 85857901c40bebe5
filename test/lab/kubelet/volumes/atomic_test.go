package volumes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// see reads a volume as a container does: through its links. What kubelets keep there for themselves is not in it.
func see(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	var walk func(path string)
	walk = func(path string) {
		entries, err := os.ReadDir(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := filepath.Join(path, e.Name())
			if strings.HasPrefix(e.Name(), "..") {
				continue
			}
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if info.IsDir() {
				walk(name)
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			found[name] = info.Mode().String() + " " + string(text)
		}
	}
	walk("")
	return found
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	owner, group := os.Getuid(), os.Getgid()
	set := func(files map[string]string) map[string]file {
		all := map[string]file{}
		for path, text := range files {
			all[path] = file{data: []byte(text), mode: 0o640, owner: owner, group: group}
		}
		return all
	}
	var before string
	for i, step := range []struct {
		files map[string]string
		same  bool
	}{
		{files: nil},
		{files: map[string]string{"a": "1", "d/e/f": "2", "d/g": "3"}},
		{files: map[string]string{"a": "1", "d/e/f": "2", "d/g": "3"}, same: true},
		{files: map[string]string{"a": "9", "d/e/f": "2"}},
		{files: map[string]string{"b": ""}},
		{files: nil},
	} {
		if err := replace(dir, set(step.files)); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for path, text := range step.files {
			want[path] = "-rw-r----- " + text
		}
		if diff := cmp.Diff(want, see(t, dir)); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
		target, err := os.Readlink(filepath.Join(dir, "..data"))
		if err != nil {
			t.Fatal(err)
		}
		if same := target == before; same != step.same {
			t.Errorf("step %d: %s after %s", i, target, before)
		}
		before = target
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "..") {
				kept++
			}
		}
		if kept != 2 {
			t.Errorf("step %d leaves %v", i, entries)
		}
	}
}
