package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"google.golang.org/grpc/grpclog"
	"k8s.io/klog/v2"

	"github.com/ingot-lb/ingot/speaker/logging"
)

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
