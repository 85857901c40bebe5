// Command apiserver is the centre of Ingot: it serves the API group metallb.io through the host cluster's aggregation
// layer, keeps the configuration, plans, and tells every speaker what to announce.
//
//	apiserver [flags]          serve
//	apiserver adopt [flags]    make speakers obey this store that obey another
//	apiserver etcd [flags]     run etcd, for an etcd cluster of one's own
//	apiserver version
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"google.golang.org/grpc/grpclog"
	"k8s.io/klog/v2"

	"github.com/ingot-lb/ingot/apiserver/server"
	"github.com/ingot-lb/ingot/speaker/logging"
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
	case "etcd":
		etcdmain.Main(append([]string{"etcd"}, args...)) // ends the process itself
	case "version":
		fmt.Println(version)
	default:
		err = fmt.Errorf("unknown command %q: one of adopt, etcd, version, or none to serve", command)
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
	flags := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
	o.AddFlags(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := o.Validate(); err != nil {
		return err
	}
	log, err := newLog(o.LogLevel)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	log.Info("apiserver starts", "event", "start", "version", version, "id", o.ID)
	if err := server.Run(ctx, o, log); err != nil {
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

// demoted writes information as debugging: what Kubernetes' libraries find worth a line is not what operators of
// Ingot look for.
type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, level slog.Level) bool {
	return d.Handler.Enabled(ctx, demotedLevel(level))
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = demotedLevel(r.Level)
	return d.Handler.Handle(ctx, r)
}

func (d demoted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoted{d.Handler.WithAttrs(attrs)}
}
func (d demoted) WithGroup(name string) slog.Handler { return demoted{d.Handler.WithGroup(name)} }

func demotedLevel(level slog.Level) slog.Level {
	if level < slog.LevelWarn {
		return min(level, slog.LevelDebug)
	}
	return level
}

// newLog returns the program's log, which the libraries write to as well.
func newLog(name string) (*slog.Logger, error) {
	value, err := logging.ParseLevel(name)
	if err != nil {
		return nil, err
	}
	level := &slog.LevelVar{}
	level.Set(value)
	log := logging.New(os.Stderr, level)
	klog.SetSlogLogger(slog.New(demoted{log.Handler()}))
	// gRPC warns of every connection that fails or closes; whoever owns the connection says so in better words.
	failures := slog.NewLogLogger(log.With("component", "grpc").Handler(), slog.LevelError)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, failures.Writer()))
	return log, nil
}
