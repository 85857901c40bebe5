package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-lb/ingot/test/lab/cluster"
	"github.com/ingot-lb/ingot/test/lab/control"
	"github.com/ingot-lb/ingot/test/lab/kubelet/logs"
	"github.com/ingot-lb/ingot/test/lab/part"
	"github.com/ingot-lb/ingot/test/lab/topology"
)

func statusCommand(dir *string) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use: "status", Short: "Show parts, addresses and KUBECONFIG; succeeds when all is up", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("-o %q: text or json", output)
			}
			var s control.LabStatus
			if err := control.Call(c.Context(), *dir, control.Request{Verb: control.Status}, &s); err != nil {
				return err
			}
			write := writeStatus
			if output == "json" {
				write = func(w io.Writer, s control.LabStatus) error {
					e := json.NewEncoder(w)
					e.SetIndent("", "  ")
					return e.Encode(s)
				}
			}
			if err := write(c.OutOrStdout(), s); err != nil {
				return err
			}
			if !s.Ready {
				return exitStatus(1)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return c
}

func writeStatus(out io.Writer, s control.LabStatus) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PART\tPLACE\tPID\tSTATE\tHEALTH")
	for _, p := range s.Parts {
		pids := strings.Trim(strings.ReplaceAll(fmt.Sprint(p.PIDs), " ", ","), "[]")
		if pids == "" {
			pids = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.Place, pids, p.State, p.Health)
	}
	fmt.Fprintln(w, "\nPLACE\tMGMT\tLAN\tOTHER\tCUT")
	for _, p := range s.Places {
		var other []string
		for network, addresses := range p.Addresses {
			if network != topology.Mgmt && network != topology.LAN {
				other = append(other, addresses...)
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", p.Name, list(p.Addresses[topology.Mgmt]), list(p.Addresses[topology.LAN]), list(other), list(p.Cut))
	}
	fmt.Fprintf(w, "\nKUBECONFIG=%s\n", s.KubeConfig)
	return w.Flush()
}

func list(all []string) string {
	if len(all) == 0 {
		return "-"
	}
	return strings.Join(all, ",")
}

func logsCommand(dir *string) *cobra.Command {
	var lines int
	var follow bool
	c := &cobra.Command{
		Use: "logs PART", Short: "Show the end of a part's log (of the lab's own process: lab)",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("logs needs one part, such as lab, %s", strings.Join(part.Examples(), ", "))
			}
			if args[0] == "lab" {
				return nil
			}
			_, err := part.Parse(args[0])
			return err
		},
		RunE: func(c *cobra.Command, args []string) error {
			file, err := os.Open(cluster.LogFile(*dir, args[0]))
			if errors.Is(err, fs.ErrNotExist) {
				if path := containerLog(c.Context(), *dir, args[0]); path != "" {
					return tailContainer(c.Context(), path, c.OutOrStdout(), lines, follow)
				}
				return fmt.Errorf("%s has no log in %s: it is not in that lab, or was never started", args[0], *dir)
			}
			if err != nil {
				return err
			}
			defer file.Close()
			return tail(c.Context(), file, c.OutOrStdout(), lines, follow)
		},
	}
	c.Flags().IntVarP(&lines, "lines", "n", 100, "how many lines")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written from now on")
	return c
}

// containerLog is where the last container that a part stands for has its log, in a lab that runs; empty: nowhere.
func containerLog(ctx context.Context, dir, name string) string {
	var s control.LabStatus
	if err := control.Call(ctx, dir, control.Request{Verb: control.Status}, &s); err != nil {
		return ""
	}
	for _, p := range s.Parts {
		if p.Name == name {
			return p.Log
		}
	}
	return ""
}

// tailContainer is tail for what a kubelet has written.
func tailContainer(ctx context.Context, path string, out io.Writer, lines int, follow bool) error {
	last := int64(lines)
	o := logs.Options{Tail: &last}
	if follow {
		o.Ended = func() bool { return false }
	}
	if err := logs.Read(ctx, path, o, out); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// tail copies the last lines of a file, and if asked to what is added to it until ctx ends.
func tail(ctx context.Context, file io.Reader, out io.Writer, lines int, follow bool) error {
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, lastLines(string(text), lines)); err != nil || !follow {
		return err
	}
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if _, err := io.Copy(out, file); err != nil {
				return err
			}
		}
	}
}

// lastLines is the last n lines of a text.
func lastLines(text string, n int) string {
	end := len(strings.TrimSuffix(text, "\n"))
	if n <= 0 {
		return ""
	}
	for range n {
		if end = strings.LastIndexByte(text[:end], '\n'); end < 0 {
			return text
		}
	}
	return text[end+1:]
}
