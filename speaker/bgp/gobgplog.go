package bgp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	bgppacket "github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/ingot-lb/ingot/speaker/logging"
)

// gobgpLogger turns gobgp's log into ours, and catches from it why a session went down, which gobgp says nowhere
// else. It never ends the process, whatever gobgp asks. gobgp calls it with locks held.
type gobgpLogger struct {
	log *slog.Logger
	// sink is the present user of a gobgp server; servers are reused.
	sink atomic.Pointer[faultSink]
}

type faultSink struct {
	peer  string
	fault func(fault)
	// connected is called when there is a connection and nothing was read from it yet, by gobgp's main goroutine.
	connected func()
}

// Panic logs an error; the process lives.
func (l *gobgpLogger) Panic(msg string, f gobgplog.Fields) { l.write(slog.LevelError, msg, f) }

// Fatal logs an error; the process lives.
func (l *gobgpLogger) Fatal(msg string, f gobgplog.Fields) { l.write(slog.LevelError, msg, f) }

// Error logs an error.
func (l *gobgpLogger) Error(msg string, f gobgplog.Fields) { l.write(slog.LevelError, msg, f) }

// Warn logs at debug level: what matters is reported as a fault or a transition, in our words.
func (l *gobgpLogger) Warn(msg string, f gobgplog.Fields) { l.write(slog.LevelDebug, msg, f) }

// Info logs at debug level, as Warn does.
func (l *gobgpLogger) Info(msg string, f gobgplog.Fields) { l.write(slog.LevelDebug, msg, f) }

// Debug logs where everything is logged: gobgp's own debug lines are one per message sent.
func (l *gobgpLogger) Debug(msg string, f gobgplog.Fields) { l.write(logging.LevelAll, msg, f) }

// SetLevel does nothing: the level is slog's.
func (l *gobgpLogger) SetLevel(gobgplog.LogLevel) {}

// GetLevel asks for everything, since failures to connect are logged at debug level only.
func (l *gobgpLogger) GetLevel() gobgplog.LogLevel { return gobgplog.DebugLevel }

func (l *gobgpLogger) write(level slog.Level, msg string, f gobgplog.Fields) {
	l.catch(msg, f)
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, len(f)+1)
	if s := l.sink.Load(); s != nil {
		attrs = append(attrs, slog.String("peer", s.peer))
	}
	for k, v := range f {
		if k != "Topic" {
			attrs = append(attrs, slog.String(k, fmt.Sprint(v)))
		}
	}
	l.log.LogAttrs(context.Background(), level, "gobgp: "+msg, attrs...)
}

// catch reports the lines of gobgp that say why there is no session.
func (l *gobgpLogger) catch(msg string, f gobgplog.Fields) {
	s := l.sink.Load()
	if s == nil {
		return
	}
	switch msg {
	case "failed to connect":
		s.fault(fault{words: connectPrefix + connectWords(f["Error"])})
	case "received notification":
		said := notificationOf(f)
		said.words, said.received = "the peer closed the session: "+said.words, true
		s.fault(said)
	case "sent notification":
		said := notificationOf(f)
		if words, _ := f["Communicated-Reason"].(string); strings.HasPrefix(words, pathDownWords) {
			said = pathDown(words) // see withSubcode
		}
		s.fault(said)
	case "hold timer expired":
		s.fault(fault{words: notificationWords(bgppacket.BGP_ERROR_HOLD_TIMER_EXPIRED, 0), code: bgppacket.BGP_ERROR_HOLD_TIMER_EXPIRED})
	case "failed to send":
		s.fault(fault{words: fmt.Sprintf("send: %v", f["Data"])})
	case "Peer Down":
		if reason := f["Reason"]; reason == "read-failed" {
			s.fault(fault{words: "the connection was lost", vague: true})
		}
	case "state changed":
		if f["new"] == bgppacket.BGP_FSM_OPENSENT.String() && s.connected != nil {
			s.connected()
		}
		if old := f["old"]; old == bgppacket.BGP_FSM_OPENSENT.String() || old == bgppacket.BGP_FSM_OPENCONFIRM.String() {
			if f["new"] != bgppacket.BGP_FSM_IDLE.String() {
				return
			}
			switch fmt.Sprint(f["reason"]) {
			case "read-failed":
				s.fault(fault{words: "the peer closed the connection before the session was established", vague: true})
			case "invalid-msg":
				s.fault(fault{words: "the peer sent another message than was due", vague: true})
			}
		}
	}
}

// connectPrefix begins every fault that is a failure to connect.
const connectPrefix = "connect: "

// timedOut is what Go calls a connection that was not answered.
const timedOut = "i/o timeout"

// connectWords leaves out the addresses, which every report of a session has anyway.
func connectWords(v any) string {
	err, ok := v.(error)
	if !ok {
		return fmt.Sprint(v)
	}
	var operation *net.OpError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err.Error()
}

// notificationOf reads the two forms in which gobgp logs a NOTIFICATION.
func notificationOf(f gobgplog.Fields) fault {
	if e, ok := f["Data"].(*bgppacket.MessageError); ok {
		words := notificationWords(e.TypeCode, e.SubTypeCode)
		if e.Message != "" {
			words += ": " + e.Message
		}
		return fault{words: words, code: e.TypeCode, subcode: e.SubTypeCode}
	}
	code, _ := f["Code"].(uint8)
	subcode, _ := f["Subcode"].(uint8)
	words := notificationWords(code, subcode)
	if said, _ := f["Communicated-Reason"].(string); said != "" {
		words += fmt.Sprintf(": %q", said)
	}
	return fault{words: words, code: code, subcode: subcode}
}
