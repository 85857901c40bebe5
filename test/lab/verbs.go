package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ingot-lb/ingot/test/lab/cluster"
	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/part"
)

// partCommand is a verb that acts on one part.
func partCommand(dir *string, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " PART", Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s needs one part, such as %s", verb, part.Examples())
			}
			_, err := part.Parse(args[0])
			return err
		},
		RunE: func(c *cobra.Command, args []string) error {
			return control.Call(c.Context(), *dir, control.Request{Verb: verb, Part: args[0]}, nil)
		},
	}
}

// cutCommand is cut or heal.
func cutCommand(dir *string, verb, short string) *cobra.Command {
	request := control.Request{Verb: verb}
	c := &cobra.Command{
		Use: verb + " NODE|router [--link lan|mgmt]", Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s needs a node, or router (also client and control)", verb)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			request.Place = args[0]
			return control.Call(c.Context(), *dir, request, nil)
		},
	}
	c.Flags().StringVar(&request.Link, "link", "", "lan or mgmt; without it, both")
	return c
}

func tokenCommand(dir *string) *cobra.Command {
	request := control.Request{Verb: control.Token}
	var seconds int
	c := &cobra.Command{
		Use: "token NODE", Short: "Print a fresh token of the node's speaker, for the stream",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("token needs a node, such as node1")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			request.Place = args[0]
			request.Expiry = time.Duration(seconds) * time.Second
			var token string
			if err := control.Call(c.Context(), *dir, request, &token); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), token)
			return err
		},
	}
	c.Flags().StringVar(&request.Audience, "audience", "ingot-dispatch", "whom the token is for")
	c.Flags().IntVar(&seconds, "expiry", 3600, "how many seconds it is valid; negative: it has expired already")
	return c
}

func downCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "End the lab; nothing of it is left but its logs", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return down(c.Context(), *dir) },
	}
}

// down returns when the wrapper, and with it every process and namespace of the lab, is gone.
func down(ctx context.Context, dir string) error {
	var places control.LabPlaces
	if err := control.Call(ctx, dir, control.Request{Verb: control.Places}, &places); err != nil {
		return err
	}
	wrapper, err := unix.PidfdOpen(places.PID, 0)
	if err != nil {
		return fmt.Errorf("the lab's process %d: %w", places.PID, err)
	}
	defer unix.Close(wrapper)
	if err := control.Call(ctx, dir, control.Request{Verb: control.Down}, nil); err != nil {
		return err
	}
	gone, err := ended(wrapper, goodbye)
	if err == nil && !gone {
		if err = unix.PidfdSendSignal(wrapper, unix.SIGKILL, nil, 0); err == nil {
			gone, err = ended(wrapper, 4*goodbye) // all of its processes go first, on however busy a machine
		}
	}
	if err != nil {
		return fmt.Errorf("the lab's process %d: %w", places.PID, err)
	}
	if !gone {
		return fmt.Errorf("the lab's process %d is still there", places.PID)
	}
	return cluster.Sweep(dir)
}

// ended waits for a process to end, which makes its pidfd readable (pidfd_open(2)).
func ended(pidfd int, patience time.Duration) (bool, error) {
	deadline := time.Now().Add(patience)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if errors.Is(err, unix.EINTR) && time.Now().Before(deadline) {
			continue
		}
		return n > 0, err
	}
}
