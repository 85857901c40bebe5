package container

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const locked = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// root puts the container's root file system together and makes it this process's, with nothing behind it.
func (s *Spec) root() error {
	unix.Umask(0)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := mount("container", s.Directory, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	if err := s.files(); err != nil {
		return err
	}
	if err := s.kernel(); err != nil {
		return err
	}
	if err := s.devices(); err != nil {
		return err
	}
	for _, m := range s.Mounts {
		if err := s.bind(m); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(s.at(s.Dir), 0o755); err != nil {
		return err
	}
	// The old root lies over the new one until it is taken away (pivot_root(2), notes).
	if err := os.Chdir(s.Directory); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("taking the old root away: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if s.ReadOnly {
		return mount("", "/", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	return nil
}

// files are the image's own.
func (s *Spec) files() error {
	for _, f := range s.Files {
		path := s.at(f.Path)
		var err error
		switch {
		case f.Mode.IsDir():
			err = os.MkdirAll(path, f.Mode.Perm())
		case f.Mode&fs.ModeSymlink != 0:
			err = os.Symlink(f.Target, path)
		case f.Program:
			err = s.bind(Mount{Source: s.Program, Target: f.Path, ReadOnly: true})
		default:
			err = os.WriteFile(path, []byte(f.Content), f.Mode.Perm())
		}
		if err != nil {
			return fmt.Errorf("the image's /%s: %w", f.Path, err)
		}
	}
	return nil
}

// Of /proc, as container runtimes have it.
var (
	readOnly = []string{"bus", "fs", "irq", "sys", "sysrq-trigger"}
	masked   = []string{"kcore", "keys", "timer_list", "latency_stats", "sched_debug"}
)

// kernel is what the kernel shows: of this pid namespace and this network, and not for writing.
func (s *Spec) kernel() error {
	for _, dir := range []string{"proc", "sys"} {
		if err := os.MkdirAll(s.at(dir), 0o555); err != nil {
			return err
		}
	}
	if err := mount("proc", s.at("proc"), "proc", locked, ""); err != nil {
		return err
	}
	for _, name := range readOnly {
		path := s.at("proc", name)
		if _, err := os.Stat(path); err != nil {
			continue // this kernel has none
		}
		if err := mount(path, path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
		if err := mount("", path, "", locked|unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return err
		}
	}
	for _, name := range masked {
		path := s.at("proc", name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if err := mount(os.DevNull, path, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return mount("sysfs", s.at("sys"), "sysfs", locked|unix.MS_RDONLY, "")
}

// devices are those that every container has.
func (s *Spec) devices() error {
	if err := os.MkdirAll(s.at("dev"), 0o755); err != nil {
		return err
	}
	if err := mount("dev", s.at("dev"), "tmpfs", unix.MS_NOSUID, "mode=0755,size=64k"); err != nil {
		return err
	}
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		if err := unix.Mknod(s.at("dev", name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))); err != nil {
			return fmt.Errorf("/dev/%s: %w", name, err)
		}
	}
	if err := unix.Mknod(s.at("dev/tty"), unix.S_IFCHR|0o666, int(unix.Mkdev(5, 0))); err != nil {
		return fmt.Errorf("/dev/tty: %w", err)
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, s.at("dev", name)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"pts", "shm"} {
		if err := os.Mkdir(s.at("dev", dir), 0o755); err != nil {
			return err
		}
	}
	if err := mount("devpts", s.at("dev/pts"), "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		return err
	}
	return mount("shm", s.at("dev/shm"), "tmpfs", locked, "mode=1777,size=65536k")
}

// bind mounts a file or directory of the node. What it is mounted on is made unless it is there.
func (s *Spec) bind(m Mount) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	target := s.at(m.Target)
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		var file *os.File
		if file, err = os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o755); err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("mounting at /%s: %w", strings.TrimPrefix(m.Target, "/"), err)
	}
	if err := mount(m.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	if m.ReadOnly {
		return mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	return nil
}

// at is a path below the root as long as that is not yet this process's.
func (s *Spec) at(elements ...string) string {
	return filepath.Join(append([]string{s.Directory}, elements...)...)
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", source, target, err)
	}
	return nil
}
