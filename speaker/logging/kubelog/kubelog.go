// Package kubelog has Kubernetes' libraries write to our log. It stands apart because the speaker has none of them.
package kubelog

import (
	"context"
	"log/slog"
	"strconv"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/ingot-lb/ingot/speaker/logging"
)

// verbosity is what the libraries call the levels at which they say more than by default. It ends before bodies of requests,
// which have secrets.
var verbosity = map[string]int{"debug": 4, "all": -int(logging.LevelAll)}

// Adopt has the libraries write to log, for as long as the process lives, as much as level says. What kube-apiservers warn of in
// their answers is a warning.
func Adopt(log *slog.Logger, level *logging.Level) {
	rest.SetDefaultWarningHandlerWithContext(warnings{log})
	klog.SetSlogLogger(slog.New(demoted{log.Handler()}))
	level.Each(func(name string) {
		var v klog.Level                         // where klog keeps it, whatever its own value
		_ = v.Set(strconv.Itoa(verbosity[name])) // of a number it cannot fail
	})
}

// warnings implements rest.WarningHandlerWithContext.
type warnings struct{ log *slog.Logger }

// HandleWarningHeaderWithContext writes the ones that Kubernetes means: those of code 299.
func (w warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _ string, text string) {
	if code == 299 && text != "" {
		w.log.WarnContext(ctx, "the kube-apiserver warns", "event", "apiWarning", "warning", text)
	}
}

// demoted writes information as debugging: what Kubernetes' libraries find worth a line is not what operators of
// Ingot look for.
type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= logging.LevelAll && d.Handler.Enabled(ctx, demotedLevel(level))
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	if !d.Enabled(ctx, r.Level) { // logr does not ask about errors
		return nil
	}
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
