package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ingot-lb/ingot/speaker/logging"
	"github.com/ingot-lb/ingot/test/lab/dns"
	"github.com/ingot-lb/ingot/test/lab/kubelet/container"
	"github.com/ingot-lb/ingot/test/lab/web"
)

// webCommand is the workload, which the wrapper or a kubelet starts in every pod's place.
func webCommand() *cobra.Command {
	return &cobra.Command{
		Use: "web NODE", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return web.Serve(c.Context(), args[0]) },
	}
}

// dnsCommand is the cluster's DNS, on addresses that it answers from.
func dnsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "dns KUBECONFIG ADDRESS...", Hidden: true, Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			config, err := clientcmd.BuildConfigFromFlags("", args[0])
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			source, err := dns.Watch(c.Context(), client)
			if err != nil {
				return err
			}
			log := logging.New(os.Stderr, new(slog.LevelVar))
			g, ctx := errgroup.WithContext(c.Context())
			for _, address := range args[1:] {
				g.Go(func() error { return dns.Serve(ctx, source, address, log) })
			}
			return g.Wait()
		},
	}
}

// containerCommand is what a kubelet starts containers with.
func containerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "container", Hidden: true, DisableFlagParsing: true,
		Run: func(_ *cobra.Command, args []string) { container.Main(args) },
	}
}
