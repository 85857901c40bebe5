// Package saved keeps a speaker's state where the process's death does not reach it: a file on the host's tmpfs,
// which survives the process and the pod and, as it should, not a reboot. What is damaged, of another node or of
// another boot is ignored, loudly.
package saved

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ingot-lb/ingot/speaker/desired"
)

// fileName is the state's name in its directory.
const fileName = "state"

// Snapshot is what is kept.
type Snapshot struct {
	// Node whose state it is.
	Node string
	// BootID of the kernel that the state was applied to.
	BootID string
	State  desired.Saved
	// Addresses are those that each endpoint of the centre last resolved to, so that a restart finds the centre
	// while the DNS is away.
	Addresses map[string][]string
	// LogLevel is what the centre last said that it is to be; empty: nothing.
	LogLevel string
}

// Store is the place of one node's state. It is not safe for concurrent use.
type Store struct {
	dir, node, bootID string
	encoder           *encoder
}

// NewStore returns the store in dir of node, booted as bootID.
func NewStore(dir, node, bootID string) *Store {
	return &Store{dir: dir, node: node, bootID: bootID, encoder: newEncoder()}
}

// Path is where the state is kept.
func (s *Store) Path() string { return filepath.Join(s.dir, fileName) }

// ErrUnusable is in the error of Load when a state is there but not ours to use.
var ErrUnusable = errors.New("saved state ignored")

// Load returns the state kept, or false when there is none. A state that must not be used is an ErrUnusable.
func (s *Store) Load() (Snapshot, bool, error) {
	data, err := os.ReadFile(s.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return Snapshot{}, false, nil
	}
	if err != nil {
		return Snapshot{}, false, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	snap, err := Decode(data)
	switch {
	case err != nil:
		return Snapshot{}, false, fmt.Errorf("%w: %s: %w", ErrUnusable, s.Path(), err)
	case snap.Node != s.node:
		return Snapshot{}, false, fmt.Errorf("%w: %s is of node %q, this is %q", ErrUnusable, s.Path(), snap.Node, s.node)
	case snap.BootID != s.bootID:
		return Snapshot{}, false, fmt.Errorf("%w: %s is of boot %q, this is %q", ErrUnusable, s.Path(), snap.BootID, s.bootID)
	}
	return snap, true, nil
}

// Save replaces the state kept. The file is written beside and renamed, so that there is always a whole one; it is
// not synced, since a tmpfs has nothing to sync to.
func (s *Store) Save(state desired.Saved, addresses map[string][]string, logLevel string) error {
	data, err := s.encoder.encode(Snapshot{Node: s.node, BootID: s.bootID, State: state, Addresses: addresses, LogLevel: logLevel})
	if err != nil {
		return fmt.Errorf("saving the state: %w", err)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("saving the state: %w", err)
	}
	temp := s.Path() + ".new"
	// A leftover of a killed process may have other permissions.
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("saving the state: %w", err)
	}
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return errors.Join(fmt.Errorf("saving the state: %w", err), os.Remove(temp))
	}
	if err := os.Rename(temp, s.Path()); err != nil {
		return errors.Join(fmt.Errorf("saving the state: %w", err), os.Remove(temp))
	}
	return nil
}

// BootID returns the kernel's random identity of this boot.
func BootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("boot id: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
