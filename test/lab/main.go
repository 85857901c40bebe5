// Command lab builds a Kubernetes cluster with Ingot in it out of network namespaces on one machine, from real parts:
// etcd, kube-apiserver, kube-controller-manager, kube-proxy on every node, Ingot's own programs, FRR as the router,
// and a client. It needs root. `lab up` starts one process that owns all of it. With --from-manifests, Ingot is installed into
// it as into any cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
)

// The main goroutine stays on the main thread. The wrapper's life hangs on the thread that starts it, and `lab exec`
// moves its thread into the lab's namespaces.
func init() { runtime.LockOSThread() }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	var exit exitStatus
	switch {
	case errors.As(err, &exit):
		os.Exit(int(exit))
	case err != nil:
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

// exitStatus ends the program with a status and says nothing.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func command() *cobra.Command {
	var dir string
	root := &cobra.Command{
		Use:           "lab",
		Short:         "A Kubernetes cluster with Ingot, out of network namespaces on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) (err error) {
			dir, err = filepath.Abs(dir)
			return err
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVar(&dir, "dir", defaultDir(), "where the lab is kept")
	root.AddCommand(
		upCommand(&dir), downCommand(&dir), statusCommand(&dir), execCommand(&dir), logsCommand(&dir), tokenCommand(&dir),
		cutCommand(&dir, "cut", "Pull a cable out of its switch"), cutCommand(&dir, "heal", "Put a cable back"),
		partCommand(&dir, "kill", "End a part by SIGKILL; it stays dead until it is started"),
		partCommand(&dir, "stop", "End a part by SIGTERM; it stays dead until it is started"),
		partCommand(&dir, "start", "Start a part and wait until it is ready"),
		partCommand(&dir, "pause", "Stop a part where it is, by SIGSTOP"),
		partCommand(&dir, "resume", "Let a paused part go on, by SIGCONT"),
		wrapperCommand(), webCommand(), dnsCommand(), leashedCommand(), containerCommand(),
	)
	return root
}

// defaultDir is below the user's state directory, as the XDG base directory specification has it.
func defaultDir() string {
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		state = filepath.Join(os.Getenv("HOME"), ".local", "state")
	}
	return filepath.Join(state, "ingot-lab")
}
