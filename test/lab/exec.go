package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/netns"
)

func execCommand(dir *string) *cobra.Command {
	c := &cobra.Command{
		Use:   "exec PLACE -- CMD [ARG...]",
		Short: "Run a program in node1…, pod-node1…, router, client, control or switch",
		RunE: func(c *cobra.Command, args []string) error {
			// What follows PLACE is the program's own, with or without the two dashes.
			if len(args) > 1 && args[1] == "--" {
				args = slices.Delete(args, 1, 2)
			}
			if len(args) < 2 {
				return errors.New("exec needs a place and a program, as in: lab exec router -- vtysh -c 'show bgp summary'")
			}
			var places control.LabPlaces
			if err := control.Call(c.Context(), *dir, control.Request{Verb: control.Places}, &places); err != nil {
				return err
			}
			if !slices.Contains(places.Names, args[0]) {
				return fmt.Errorf("no place %q in this lab: it has %s", args[0], strings.Join(places.Names, ", "))
			}
			return run(c.Context(), places, args[0], args[1:])
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}

// run runs a program in a place with this process's input and outputs, and returns its exit status as an error, as a
// shell does: 128 and the signal's number if it was ended by one.
func run(ctx context.Context, places control.LabPlaces, place string, argv []string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := enter(places.PID, place); err != nil {
		return fmt.Errorf("entering %s: %w", place, err)
	}
	// Entering led to the root. A directory below /run or /var/tmp is not in the lab, which has its own.
	if err := os.Chdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for name, value := range map[string]string{
		"PATH":       strings.Join([]string{filepath.Dir(self), os.Getenv("PATH"), "/usr/sbin", "/sbin"}, ":"),
		"KUBECONFIG": places.KubeConfig, // the user's own is for the host
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	program := exec.Command(self, append([]string{"leashed", path}, argv...)...)
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	// A terminal tells the program of Ctrl-C by itself; what was sent to this process alone is passed on.
	sent := make(chan os.Signal, 8)
	signal.Notify(sent, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(sent)
	if err := program.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- program.Wait() }()
	for {
		select {
		case s := <-sent:
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				_ = program.Process.Signal(s) // it may have ended just now
			}
		case err := <-done:
			return shellStatus(err)
		}
	}
}

// leashedCommand becomes another program, after asking to be killed when its parent dies. syscall.SysProcAttr could ask
// for that too, but then takes a parent in another pid namespace, which has no number, for one that is dead.
func leashedCommand() *cobra.Command {
	return &cobra.Command{
		Use: "leashed PATH NAME [ARG...]", Hidden: true, DisableFlagParsing: true, Args: cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
				return err
			}
			// The main goroutine is on the main thread, whose request it must be.
			return syscall.Exec(args[0], args[1:], os.Environ())
		},
	}
}

// shellStatus is how a shell would say how a program ended.
func shellStatus(err error) error {
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		return err
	}
	if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitStatus(128 + int(status.Signal()))
	}
	return exitStatus(ended.ExitCode())
}

// enter moves this thread, and the programs it starts, into the lab of a wrapper and there into a place: its mounts,
// its processes, its network, and a /sys that shows that network.
func enter(wrapper int, place string) error {
	// Mount namespaces are per process, unless a thread says that it shares nothing of the kind.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	proc := fmt.Sprintf("/proc/%d/ns/", wrapper)
	pids, err := os.Open(proc + "pid")
	if err != nil {
		return err
	}
	defer pids.Close()
	mounts, err := os.Open(proc + "mnt")
	if err != nil {
		return err
	}
	defer mounts.Close()
	if err := unix.Setns(int(pids.Fd()), unix.CLONE_NEWPID); err != nil {
		return err
	}
	if err := unix.Setns(int(mounts.Fd()), unix.CLONE_NEWNS); err != nil {
		return err
	}
	network, err := os.Open(filepath.Join(netns.Dir, place))
	if err != nil {
		return err
	}
	defer network.Close()
	if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	return unix.Mount(place, "/sys", "sysfs", 0, "")
}
