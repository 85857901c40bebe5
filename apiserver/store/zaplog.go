package store

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.uber.org/zap/zapcore"

	"github.com/ingot-lb/ingot/speaker/logging"
)

// slogCore makes etcd, which logs with zap, write to our log. etcd's own "warn" includes every slow request, so
// callers choose "error". The rest is there for those who want everything, but for debugging, which is one line a request.
type slogCore struct {
	log    *slog.Logger
	level  zapcore.Level
	fields []zapcore.Field
	// quiet, which may be nil, silences it: etcd calls its orderly end an error.
	quiet *atomic.Bool
}

func (c *slogCore) Enabled(l zapcore.Level) bool {
	if c.quiet != nil && c.quiet.Load() {
		return false
	}
	return l >= c.level || l >= zapcore.InfoLevel && c.log.Enabled(context.Background(), logging.LevelAll)
}

func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	all := append(append([]zapcore.Field{}, c.fields...), fields...)
	return &slogCore{log: c.log, level: c.level, fields: all, quiet: c.quiet}
}

func (c *slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(append([]zapcore.Field{}, c.fields...), fields...) {
		f.AddTo(enc)
	}
	attrs := make([]slog.Attr, 0, len(enc.Fields)+1)
	attrs = append(attrs, slog.String("component", "etcd"))
	for k, v := range enc.Fields {
		attrs = append(attrs, slog.Any(k, v))
	}
	level := logging.LevelAll
	switch {
	case e.Level < c.level: // wanted by those who want everything
	case e.Level >= zapcore.ErrorLevel:
		level = slog.LevelError
	case e.Level == zapcore.WarnLevel:
		level = slog.LevelWarn
	case e.Level == zapcore.InfoLevel:
		level = slog.LevelInfo
	case e.Level == zapcore.DebugLevel:
		level = slog.LevelDebug
	}
	c.log.LogAttrs(context.Background(), level, e.Message, attrs...)
	return nil
}

func (c *slogCore) Sync() error { return nil }
