package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/ingot-lb/ingot/speaker/show"
)

// flags are what docs/architecture.md lists.
type flags struct {
	nodeName           string
	dispatch           []string
	dispatchCA         string
	dispatchServerName string
	tokenFile          string
	stateDir           string
	grpcAddress        string
	grpcSocket         string
	metricsAddress     string
	excludeInterfaces  []string
	logLevel           string
}

// excludedInterfaces is MetalLB's list; spec.md section 5.3.
var excludedInterfaces = []string{
	"^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*", "^tunl.*", "^flannel.*",
	"^kube-ipvs.*", "^cni.*", "^nodelocaldns.*", "^lxc.*",
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
	fs.StringVar(&f.dispatchCA, "dispatch-ca", "/etc/ingot/ca/ca.crt", "CA of the centre's certificate; read for each connection, and may come into being later")
	fs.StringVar(&f.dispatchServerName, "dispatch-server-name", "apiserver.metallb-system.svc", "name that the centre's certificate must carry")
	fs.StringVar(&f.tokenFile, "token-file", "/var/run/secrets/ingot/token", "ServiceAccount token with audience ingot-dispatch; read for each connection")
	fs.StringVar(&f.stateDir, "state-dir", "/run/ingot", "directory of the saved state, on a tmpfs of the host")
	fs.StringVar(&f.grpcAddress, "grpc-address", "127.0.0.1:7474", "loopback address of the read-only SpeakerService; empty: off")
	fs.StringVar(&f.metricsAddress, "metrics-address", ":7472", "address of /metrics, /healthz and /readyz, plain HTTP; empty: off")
	fs.StringSliceVar(&f.excludeInterfaces, "exclude-interfaces", excludedInterfaces, "regular expressions of interfaces that layer 2 leaves alone")
	fs.StringVar(&f.logLevel, "log-level", "info", "all, debug, info, warn, error or none")
	root.PersistentFlags().StringVar(&f.grpcSocket, "grpc-socket", "/run/ingot/speaker.sock", "unix socket of the whole SpeakerService")
	root.AddCommand(newShowCommand(&f.grpcSocket))
	return root
}

func newShowCommand(socket *string) *cobra.Command {
	cmd := &cobra.Command{Use: "show", Short: "Show what the speaker on this node holds and does"}
	for _, what := range []struct {
		name, short string
		print       func(*show.Client, context.Context, io.Writer) error
	}{
		{"state", "who the speaker is and whom it obeys", (*show.Client).State},
		{"sessions", "BGP sessions", (*show.Client).Sessions},
		{"announcements", "prefixes and addresses announced from this node", (*show.Client).Announcements},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: what.name, Short: what.short, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				client, err := show.Dial(*socket)
				if err != nil {
					return err
				}
				defer client.Close()
				return what.print(client, cmd.Context(), cmd.OutOrStdout())
			},
		})
	}
	return cmd
}
