package logging

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"time"

	"google.golang.org/grpc/grpclog"
)

// Libraries has what writes by Go's package log, such as net/http, and gRPC write to log, as JSON like the rest. Neither says
// what is not said better by those who use them, so that only debug shows it, and of gRPC all, but for its errors.
func Libraries(log *slog.Logger) {
	slog.SetLogLoggerLevel(slog.LevelDebug)
	slog.SetDefault(log)
	grpclog.SetLoggerV2(grpcLogger{log.With("component", "grpc").Handler()})
}

// grpcLogger implements grpclog.DepthLoggerV2.
type grpcLogger struct{ handler slog.Handler }

func (g grpcLogger) write(level slog.Level, depth int, text string) {
	if !g.handler.Enabled(context.Background(), level) {
		return
	}
	var caller [1]uintptr
	runtime.Callers(3+depth, caller[:])
	// There is nobody to tell that a line could not be written.
	_ = g.handler.Handle(context.Background(), slog.NewRecord(time.Now(), level, strings.TrimSpace(text), caller[0]))
}

func (g grpcLogger) Info(args ...any)   { g.write(LevelAll, 0, fmt.Sprint(args...)) }
func (g grpcLogger) Infoln(args ...any) { g.write(LevelAll, 0, fmt.Sprintln(args...)) }
func (g grpcLogger) Infof(format string, args ...any) {
	g.write(LevelAll, 0, fmt.Sprintf(format, args...))
}
func (g grpcLogger) InfoDepth(depth int, args ...any) {
	g.write(LevelAll, depth, fmt.Sprintln(args...))
}

func (g grpcLogger) Warning(args ...any)   { g.write(LevelAll, 0, fmt.Sprint(args...)) }
func (g grpcLogger) Warningln(args ...any) { g.write(LevelAll, 0, fmt.Sprintln(args...)) }
func (g grpcLogger) Warningf(format string, args ...any) {
	g.write(LevelAll, 0, fmt.Sprintf(format, args...))
}
func (g grpcLogger) WarningDepth(depth int, args ...any) {
	g.write(LevelAll, depth, fmt.Sprintln(args...))
}

func (g grpcLogger) Error(args ...any)   { g.write(slog.LevelError, 0, fmt.Sprint(args...)) }
func (g grpcLogger) Errorln(args ...any) { g.write(slog.LevelError, 0, fmt.Sprintln(args...)) }
func (g grpcLogger) Errorf(format string, args ...any) {
	g.write(slog.LevelError, 0, fmt.Sprintf(format, args...))
}
func (g grpcLogger) ErrorDepth(depth int, args ...any) {
	g.write(slog.LevelError, depth, fmt.Sprintln(args...))
}

// Fatal ends the process, as gRPC expects.
func (g grpcLogger) Fatal(args ...any) { g.Error(args...); os.Exit(1) }

// Fatalln is Fatal.
func (g grpcLogger) Fatalln(args ...any) { g.Errorln(args...); os.Exit(1) }

// Fatalf is Fatal.
func (g grpcLogger) Fatalf(format string, args ...any) { g.Errorf(format, args...); os.Exit(1) }

// FatalDepth is Fatal.
func (g grpcLogger) FatalDepth(depth int, args ...any) { g.ErrorDepth(depth, args...); os.Exit(1) }

// V says whether information of a verbosity is wanted; 2 is one line a message.
func (g grpcLogger) V(level int) bool {
	return level < 2 && g.handler.Enabled(context.Background(), LevelAll)
}
