package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingot-lb/ingot/certs/handshake"
	"github.com/ingot-lb/ingot/certs/monitoring"
	"github.com/ingot-lb/ingot/speaker/bgp"
	"github.com/ingot-lb/ingot/speaker/exclusion"
	"github.com/ingot-lb/ingot/speaker/show"
	"github.com/ingot-lb/ingot/speaker/show/frr"
)

// flags are what docs/flags.md lists.
type flags struct {
	nodeName           string
	dispatch           []string
	dispatchFile       string
	dispatchCA         string
	dispatchServerName string
	tokenFile          string
	stateDir           string
	grpcAddress        string
	grpcSocket         string
	metricsAddress     string
	limits             handshake.Limits
	monitoring         monitoring.Options
	excludeInterfaces  []string
	excludeFile        string
	prefixLimit        int
	logLevel           string
	drainTime          time.Duration
}

func newCommand() *cobra.Command {
	var f flags
	root := &cobra.Command{
		Use:           "speaker",
		Short:         "Announce load balancer addresses from this node",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), f) },
	}
	fs := root.Flags()
	fs.StringVar(&f.nodeName, "node-name", os.Getenv("METALLB_NODE_NAME"), "name of this Kubernetes Node (default from METALLB_NODE_NAME)")
	fs.StringSliceVar(&f.dispatch, "dispatch", []string{"apiserver.metallb-system.svc:7473"}, "endpoints of the centre, HOST:PORT; each name may resolve to several replicas")
	fs.StringVar(&f.dispatchFile, "dispatch-file", "/etc/ingot/dispatch/addresses", "file with addresses of the centre, IP:PORT, one a line, for as long as names of --dispatch do not resolve; optional")
	fs.StringVar(&f.dispatchCA, "dispatch-ca", "/etc/ingot/ca/ca.crt", "CA of the centre's certificate; read for each connection, and may come into being later")
	fs.StringVar(&f.dispatchServerName, "dispatch-server-name", "apiserver.metallb-system.svc", "name that the centre's certificate must carry")
	fs.StringVar(&f.tokenFile, "token-file", "/var/run/secrets/ingot/token", "ServiceAccount token with audience ingot-dispatch; read for each connection")
	fs.StringVar(&f.stateDir, "state-dir", "/run/ingot", "directory of the saved state, on a tmpfs of the host")
	fs.StringVar(&f.grpcAddress, "grpc-address", "127.0.0.1:7474", "loopback address of the read-only SpeakerService; empty: off")
	fs.StringVar(&f.metricsAddress, "metrics-address", ":7472", "address of /metrics, /healthz and /readyz, plain HTTP but for --metrics-tls; empty: off")
	fs.BoolVar(&f.monitoring.TLS, monitoring.TLSFlag, false, monitoring.TLSUsage)
	fs.StringVar(&f.monitoring.CertDir, monitoring.CertDirFlag, "", monitoring.CertDirUsage)
	f.limits.AddFlags(func(v handshake.Value, name, usage string) { fs.Var(v, name, usage) })
	fs.StringSliceVar(&f.excludeInterfaces, "exclude-interfaces", exclusion.Default, "regular expressions of interfaces that layer 2 leaves alone, where the file of --exclude-l2-file does not exist")
	fs.StringVar(&f.excludeFile, "exclude-l2-file", exclusion.Path, "YAML file whose list announcedInterfacesToExclude goes before --exclude-interfaces; followed while the speaker runs")
	fs.IntVar(&f.prefixLimit, "bgp-prefix-limit", bgp.DefaultPrefixLimit, "prefixes of an address family that a BGP peer may send, all of them refused, before its session is closed")
	fs.DurationVar(&f.drainTime, "drain-time", 3*time.Second, "how long routers are asked to prefer other nodes before a BGP session is closed on purpose; 0: not at all")
	fs.StringVar(&f.logLevel, "log-level", "info", "all, debug, info, warn, error or none")
	root.PersistentFlags().StringVar(&f.grpcSocket, "grpc-socket", defaultSocket(), "unix socket of the whole SpeakerService")
	root.AddCommand(newShowCommand(&f.grpcSocket), newEventsCommand(&f.grpcSocket), newDrainCommand(&f.grpcSocket))
	return root
}

// socketEnv names the environment variable with the socket's path, for callers that cannot say --grpc-socket.
const socketEnv = "INGOT_GRPC_SOCKET"

func defaultSocket() string {
	if socket := os.Getenv(socketEnv); socket != "" {
		return socket
	}
	return "/run/ingot/speaker.sock"
}

// newEventsCommand is what the container "frr" of the speaker's Pods runs, beside which vtysh is called.
func newEventsCommand(socket *string) *cobra.Command {
	return &cobra.Command{
		Use:   "events",
		Short: "Print what happens to sessions, routes and addresses on this node, as it happens",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := show.Dial(*socket)
			if err != nil {
				return err
			}
			defer client.Close()
			return client.Events(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

// newDrainCommand takes the BGP sessions of the speaker on this node out of service.
func newDrainCommand(socket *string) *cobra.Command {
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Take this node's BGP sessions out of service for a while; routers are asked to prefer other nodes before",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := show.Dial(*socket)
			if err != nil {
				return err
			}
			defer client.Close()
			return client.Drain(cmd.Context(), cmd.OutOrStdout(), length)
		},
	}
	cmd.Flags().DurationVar(&length, "for", 10*time.Minute, "how long, at most 24h; 0 has the sessions in service again")
	return cmd
}

// newShowCommand understands words of our own, and what FRR's vtysh does.
func newShowCommand(socket *string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "show {state|sessions|announcements|layer2|links|segments|neighbors} | running-config | bgp [vrf V] {summary|neighbor [ADDR]|ipv4 [PREFIX]|ipv6 [PREFIX]} | bfd peers [brief|counters]",
		Short: "Show what the speaker on this node holds and does",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("-o %s: only json is known", output)
			}
			client, err := show.Dial(*socket)
			if err != nil {
				return err
			}
			defer client.Close()
			if ours, ok := client.Named(args[0], output == "json"); ok && len(args) == 1 {
				return ours(cmd.Context(), cmd.OutOrStdout())
			}
			command, err := frr.Parse("show " + strings.Join(args, " "))
			if err != nil {
				return err
			}
			if output == "json" {
				command = command.JSON()
			}
			return client.FRR(cmd.Context(), cmd.OutOrStdout(), command)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json")
	return cmd
}
