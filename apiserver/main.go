// Command apiserver is the centre of Ingot: it serves the API group metallb.io through the host cluster's aggregation
// layer, keeps the configuration, plans, and tells every speaker what to announce.
//
//	apiserver [flags]          serve
//	apiserver adopt [flags]    make speakers obey this store that obey another
//	apiserver export [flags]   write the store to a file
//	apiserver restore [flags]  fill a lost store from an export
//	apiserver etcd [flags]     run etcd, for an etcd cluster of one's own
//	apiserver version
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/ingot-lb/ingot/apiserver/server"
)

// version is set by the linker.
var version = "unknown"

func main() {
	args := os.Args[1:]
	command := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	var err error
	switch command {
	case "serve":
		err = serve(args)
	case "adopt":
		err = adopt(args)
	case "export":
		err = exportStore(args)
	case "restore":
		err = restoreStore(args)
	case "etcd":
		etcdmain.Main(append([]string{"etcd"}, args...)) // ends the process itself
	case "version":
		fmt.Println(version)
	default:
		err = fmt.Errorf("unknown command %q: one of adopt, export, restore, etcd, version, or none to serve", command)
	}
	switch {
	case errors.Is(err, pflag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	o := server.NewOptions()
	o.Version = version
	flags := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
	o.AddFlags(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	log, level, err := newLog(o.LogLevel)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	log.Info("apiserver starts", "event", "start", "version", version, "id", o.ID)
	if err := server.Run(ctx, o, log, level); err != nil {
		return err
	}
	log.Info("apiserver ends", "event", "stop")
	return nil
}

func adopt(args []string) error {
	flags := pflag.NewFlagSet("apiserver adopt", pflag.ContinueOnError)
	socket := flags.String("admin-socket", server.DefaultAdminSocket, "unix socket of the running apiserver")
	lineages := flags.StringSlice("lineage", nil, "lineages to supersede besides those that connected speakers obey")
	if err := parse(flags, args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	answer, err := server.Adopt(ctx, *socket, server.AdoptRequest{Lineages: *lineages})
	if err != nil {
		return err
	}
	fmt.Printf("adopted lineage %s\n", answer.Lineage)
	if len(answer.Supersedes) == 0 {
		fmt.Println("it supersedes no other; what speakers held back of it takes effect")
	}
	for _, lineage := range answer.Supersedes {
		fmt.Printf("it supersedes %s\n", lineage)
	}
	return nil
}

func parse(flags *pflag.FlagSet, args []string) error {
	flags.SortFlags = false
	if err := flags.Parse(args); err != nil {
		return err
	}
	if rest := flags.Args(); len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	return nil
}
