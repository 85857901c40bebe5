// Package logging makes the log that every program of Ingot writes: JSON lines, keys in order, among them ts (RFC 3339),
// level, caller and msg, as MetalLB's users grep for (spec.md section 9.2), at MetalLB's levels.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// LevelAll is that of what is written only where everything is: what libraries say in passing, line by line. Kubernetes'
	// libraries call it 6; what is beyond, bodies of requests among it, is never written, for it has secrets.
	LevelAll = slog.Level(-6)
	// levelNone is above every level in use, so that nothing is written.
	levelNone = slog.Level(100)
)

// Levels are the accepted names, from the most to the least talkative.
var Levels = []string{"all", "debug", "info", "warn", "error", "none"}

// ParseLevel turns one of Levels into a slog level. The error names the value and what is accepted.
func ParseLevel(name string) (slog.Level, error) {
	switch name {
	case "all":
		return LevelAll, nil
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	case "none":
		return levelNone, nil
	}
	return 0, fmt.Errorf("log level %q is not one of %s", name, strings.Join(Levels, ", "))
}

// New returns a logger that writes to w whatever is at or above level, which may change while it runs.
func New(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(sorted{w}, &slog.HandlerOptions{
		AddSource:   true,
		Level:       level,
		ReplaceAttr: metallbKeys,
	}))
}

// nameOf is what MetalLB's log calls a level. Libraries know levels between those, and below.
func nameOf(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

// metallbKeys renames slog's built-in keys to MetalLB's.
func metallbKeys(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch v := a.Value.Any().(type) {
	case time.Time:
		if a.Key == slog.TimeKey {
			return slog.String("ts", v.UTC().Format(time.RFC3339))
		}
	case slog.Level:
		if a.Key == slog.LevelKey {
			return slog.String("level", nameOf(v))
		}
	case *slog.Source:
		if a.Key == slog.SourceKey {
			return slog.String("caller", filepath.Base(v.File)+":"+strconv.Itoa(v.Line))
		}
	case error:
		return slog.String(a.Key, v.Error())
	}
	return a
}
