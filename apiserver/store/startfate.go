package store

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// startFate turns the panics and exits with which etcd greets a damaged data directory into an error of the
// start. They happen on several goroutines, but all are log calls first: that is where they are caught.
type startFate struct {
	failed chan error // holds the first failure
	over   atomic.Bool
	ending atomic.Bool // from then on, nothing is worth a line
}

func newStartFate() *startFate { return &startFate{failed: make(chan error, 1)} }

// logger returns etcd's logger, which is quiet below "error".
func (f *startFate) logger(log *slog.Logger) *zap.Logger {
	return zap.New(&slogCore{log: log, level: zap.ErrorLevel, quiet: &f.ending}, zap.WithPanicHook(f), zap.WithFatalHook(f))
}

// OnWrite implements zapcore.CheckWriteHook: it is called in place of panic and exit. Once etcd has started, it
// panics: a member that cannot go on must end the process, to be started again.
func (f *startFate) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	if f.over.Load() {
		panic("etcd: " + e.Message)
	}
	enc := zapcore.NewMapObjectEncoder()
	for _, field := range fields {
		field.AddTo(enc)
	}
	f.fail(fmt.Errorf("%s: %v", e.Message, enc.Fields["error"]))
	runtime.Goexit()
}

func (f *startFate) fail(err error) {
	select {
	case f.failed <- err:
	default: // the first failure is the one to tell
	}
}

// start starts etcd. After an error, goroutines of the failed attempt may remain; the process is to end.
func (f *startFate) start(ctx context.Context, cfg *embed.Config) (*embed.Etcd, error) {
	started := make(chan *embed.Etcd, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				f.fail(fmt.Errorf("panic: %v", r))
			}
		}()
		e, err := embed.StartEtcd(cfg)
		if err != nil {
			f.fail(err)
			return
		}
		started <- e
	}()
	select {
	case e := <-started:
		f.over.Store(true)
		return e, nil
	case err := <-f.failed:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
