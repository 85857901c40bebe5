package volumes

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// file is one that the kubelet itself writes.
type file struct {
	data  []byte
	mode  fs.FileMode
	owner int // user; 0 is root
	group int
}

// The names by which a set of files is replaced in one step, as kubelets have them: programs watch for them.
const (
	current     = "..data"
	currentNext = "..data_tmp"
)

// replace makes the files, by their relative paths, all that is in a directory. Each is a link through ..data, which is moved
// from the old set to the new one in one step. Sets that are equal already are left alone.
func replace(dir string, files map[string]file) error {
	before, err := os.Readlink(filepath.Join(dir, current))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if before != "" && holds(filepath.Join(dir, before), files) {
		return nil
	}
	set, err := os.MkdirTemp(dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return err
	}
	if err := fill(set, files); err != nil {
		return errors.Join(err, os.RemoveAll(set))
	}
	next := filepath.Join(dir, currentNext)
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Base(set), next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(dir, current)); err != nil {
		return err
	}
	if err := links(dir, files); err != nil {
		return err
	}
	if before == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(dir, before))
}

func fill(set string, files map[string]file) error {
	if err := os.Chmod(set, 0o755); err != nil {
		return err
	}
	for path, f := range files {
		full := filepath.Join(set, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, f.data, 0o600); err != nil {
			return err
		}
		if err := errors.Join(os.Chown(full, f.owner, f.group), os.Chmod(full, f.mode)); err != nil {
			return err
		}
	}
	return nil
}

// links has one for each first element of the paths, and no others.
func links(dir string, files map[string]file) error {
	want := map[string]bool{}
	for path := range files {
		first, _, _ := strings.Cut(path, "/")
		want[first] = true
	}
	have, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range have {
		if name := entry.Name(); !strings.HasPrefix(name, "..") && !want[name] {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for name := range want {
		err := os.Symlink(filepath.Join(current, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// holds says whether a set has these files and no others.
func holds(set string, files map[string]file) bool {
	found := 0
	err := filepath.WalkDir(set, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(set, path)
		if err != nil {
			return err
		}
		want, ok := files[name]
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !ok || !bytes.Equal(data, want.data) || info.Mode().Perm() != want.mode {
			return fmt.Errorf("%s differs", name)
		}
		found++
		return nil
	})
	return err == nil && found == len(files)
}
