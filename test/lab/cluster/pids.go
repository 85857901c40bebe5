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
		if err != nil || other != namespace {
			continue
		}
		status, err := os.ReadFile(filepath.Join(root, e.Name(), "status"))
		if err != nil {
			continue
		}
		if inner, ok := innermost(string(status)); ok {
			pids[inner] = outer
		}
	}
	return pids, nil
}

// innermost is the process's number in its own pid namespace: the last one of the line NSpid (proc(5)).
func innermost(status string) (int, bool) {
	for line := range strings.Lines(status) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(numbers)
			if len(fields) == 0 {
				return 0, false
			}
			pid, err := strconv.Atoi(fields[len(fields)-1])
			return pid, err == nil
		}
	}
	return 0, false
}
