// Package container starts a program as a container: in mount, pid, IPC and UTS namespaces of its own, with its image's
// files and some directories of its node as all it sees, as a user with few capabilities. What has to be done from
// within is done by a shim, this program started again, which then becomes the container's.
package container

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/deploy/image"
)

// Spec is what a container is made of.
type Spec struct {
	Process

	Directory string       // an empty one, at which the root file system is put together; containers may share it
	Files     []image.File // of the root file system
	Program   string       // the file that is the image's program
	ReadOnly  bool         // nothing but mounts can be written to
	Mounts    []Mount      // in this order
	Hostname  string
}

// Mount makes a file or directory of the node one of the container.
type Mount struct {
	Source, Target string
	ReadOnly       bool
}

// Process is a program in a container: its first one, or one that is executed beside it.
type Process struct {
	Args         []string
	Env          []string
	Dir          string // made with the container if it is not there
	User, Group  int
	Groups       []int    // further ones
	Capabilities []string // at most these, without CAP_; only root gets them
	// Filtered refuses the system calls that the default profile of container runtimes refuses.
	Filtered bool
	// NoNewPrivileges keeps programs that are setuid from getting more.
	NoNewPrivileges bool
}

// Descriptors that the shim inherits.
const (
	specFD  = 3 + iota // the Spec or Process, as JSON
	errorFD            // where it says why it could not; closed by success
	selfFD             // for execution in a container: the shim's own file
)

// seal writes a value where a child can read it from the start.
func seal(value any) (*os.File, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("container", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory for the container's description: %w", err)
	}
	file := os.NewFile(uintptr(fd), "container")
	if _, err := file.WriteAt(content, 0); err != nil {
		_ = file.Close() // the error before is the one to tell
		return nil, err
	}
	return file, nil
}
