package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockFile is also what tells a lab's directory from others.
const lockFile = "lab.lock"

// contents are what a lab leaves in its directory, besides lockFile and the logs: log/, and of containers kubelet/NODE/log/.
var contents = []string{
	"lab.sock", "kubeconfig", "kubeconfig.inside", "pki", "etcd", "ingot-etcd", "flex-volume", "tokens", "ca", "apiserver-*", "nodes", "kubelet/*/pods", "kubelet/*/rootfs", "manifests.yaml", "resolv.conf",
}

// Claim takes a directory for a lab: it makes it, locks it, and removes what an earlier lab left there. The lab is
// the owner as long as the returned file is open, in whatever process.
func Claim(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, lockFile)); errors.Is(err, fs.ErrNotExist) && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty and is not a lab's: choose another --dir", dir)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("a lab runs in %s already: see lab status, end it with lab down, or choose another --dir", dir)
	}
	if err == nil {
		err = Sweep(dir)
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(filepath.Join(dir, "log")), os.RemoveAll(filepath.Join(dir, "kubelet")))
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// Sweep removes what a lab has left in its directory, and keeps its logs.
func Sweep(dir string) error {
	var errs []error
	for _, pattern := range contents {
		paths, err := filepath.Glob(filepath.Join(escape(dir), pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

// escape takes the meaning from the characters that filepath.Glob knows.
func escape(dir string) string {
	var b []byte
	for i := range len(dir) {
		switch dir[i] {
		case '*', '?', '[', '\\':
			b = append(b, '\\')
		}
		b = append(b, dir[i])
	}
	return string(b)
}
