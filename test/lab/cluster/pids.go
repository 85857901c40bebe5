package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// hostPIDs translates process numbers of this pid namespace to those that the host sees. It holds the host's /proc,
// opened before the wrapper mounted its own.
type hostPIDs struct {
	proc *os.File
	self int
}

func openHostPIDs() (hostPIDs, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return hostPIDs{}, err
	}
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return hostPIDs{}, err
	}
	pid, err := strconv.Atoi(self)
	return hostPIDs{proc, pid}, err
}

// translate gives the host's numbers of the processes of this namespace, by ours.
func (h hostPIDs) translate() (map[int]int, error) {
	root := fmt.Sprintf("/proc/self/fd/%d", h.proc.Fd())
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("the host's processes: %w", err)
	}
	pids := map[int]int{}
	for _, e := range entries {
		outer, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// Processes end while this looks at them; another lab's have the same numbers inside.
		other, err := os.Readlink(filepath.Join(root, e.Name(), "ns/pid"))
		if err != nil {
			continue
		}
		status, err := os.ReadFile(filepath.Join(root, e.Name(), "status"))
		if err != nil {
			continue
		}
		// The first process of a container is a child of ours in a namespace of its own.
		below := 0
		if other != namespace {
			if parent := numbers(string(status), "PPid:"); len(parent) != 1 || parent[0] != h.self {
				continue
			}
			below = 1
		}
		if inner, ok := within(string(status), below); ok {
			pids[inner] = outer
		}
	}
	return pids, nil
}

// within is the process's number in the pid namespace that is so many above its own: of the line NSpid (proc(5)), which ends
// with its own.
func within(status string, above int) (int, bool) {
	all := numbers(status, "NSpid:")
	if len(all) <= above {
		return 0, false
	}
	return all[len(all)-1-above], true
}

// numbers are those of one line of a status; none if it has no such line, or something else in it.
func numbers(status, name string) []int {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		var all []int
		for _, field := range strings.Fields(rest) {
			n, err := strconv.Atoi(field)
			if err != nil {
				return nil
			}
			all = append(all, n)
		}
		return all
	}
	return nil
}
