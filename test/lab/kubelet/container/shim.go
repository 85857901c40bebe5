package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Main is the shim, called with what follows Runtime.Shim on the command line. It does not return: it becomes the
// container's program, or ends the process having told why it could not.
func Main(args []string) {
	runtime.LockOSThread() // whose capabilities are the program's
	for _, fd := range []int{specFD, errorFD, selfFD} {
		syscall.CloseOnExec(fd)
	}
	err := run(args)
	// Whoever started this reads it; if nobody does, nobody wants to know.
	_, _ = io.WriteString(os.NewFile(errorFD, "errors"), err.Error())
	os.Exit(128)
}

// run returns why it could not do what it should.
func run(args []string) error {
	description := json.NewDecoder(os.NewFile(specFD, "spec"))
	if len(args) != 1 {
		return fmt.Errorf("the shim does not know %q", args)
	}
	switch args[0] {
	case "init":
		var s Spec
		if err := description.Decode(&s); err != nil {
			return err
		}
		if err := s.root(); err != nil {
			return fmt.Errorf("failed to create containerd container: %w", err)
		}
		if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
			return fmt.Errorf("hostname: %w", err)
		}
		return s.become()
	case "exec":
		var p Process
		if err := description.Decode(&p); err != nil {
			return err
		}
		return p.become()
	}
	return fmt.Errorf("the shim does not know %q", args)
}

// become replaces this process by the program.
func (p *Process) become() error {
	unix.Umask(0o022)
	if p.Dir != "" {
		if err := os.Chdir(p.Dir); err != nil {
			return err
		}
	}
	// What /dev/stdout leads to must be the user's, or it could not be opened; a terminal or /dev/null refuses, and may.
	for fd := range 3 {
		_ = unix.Fchown(fd, p.User, p.Group)
	}
	if err := p.confine(); err != nil {
		return err
	}
	path, err := p.path()
	if err != nil {
		return err
	}
	if err := syscall.Exec(path, p.Args, p.Env); err != nil {
		return fmt.Errorf("exec %s: %w", path, err)
	}
	return nil
}

// confine gives up privileges, the capability to do so last.
func (p *Process) confine() error {
	keep := map[uintptr]bool{}
	for _, name := range p.Capabilities {
		number, ok := Capability(name)
		if !ok {
			return fmt.Errorf("unknown capability %q", name)
		}
		keep[number] = true
	}
	if p.Filtered {
		if err := filter(p.Capabilities); err != nil {
			return err
		}
	}
	for number := range uintptr(unix.CAP_LAST_CAP + 1) {
		if keep[number] {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("dropping capability %d: %w", number, err)
		}
	}
	if err := syscall.Setgroups(p.Groups); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if err := syscall.Setgid(p.Group); err != nil {
		return fmt.Errorf("group %d: %w", p.Group, err)
	}
	if err := syscall.Setuid(p.User); err != nil {
		return fmt.Errorf("user %d: %w", p.User, err)
	}
	if p.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no new privileges: %w", err)
		}
	}
	return nil
}

// path finds the program as the container's PATH has it.
func (p *Process) path() (string, error) {
	if len(p.Args) == 0 {
		return "", errors.New("no command specified")
	}
	name := p.Args[0]
	if strings.Contains(name, "/") {
		if _, err := os.Stat(name); err != nil {
			return "", fmt.Errorf("exec: %q: %w", name, err)
		}
		return name, nil
	}
	for _, variable := range p.Env {
		if list, ok := strings.CutPrefix(variable, "PATH="); ok {
			for _, dir := range filepath.SplitList(list) {
				path := filepath.Join(dir, name)
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
					return path, nil
				}
			}
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}
