package bgp

import (
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	bgppacket "github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

func TestFaultsAreCaughtFromTheLog(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	tests := map[string]struct {
		msg    string
		fields gobgplog.Fields
		want   fault
	}{
		"refused":          {"failed to connect", gobgplog.Fields{"Error": refused}, fault{words: "connect: connection refused"}},
		"hold timer":       {"hold timer expired", nil, fault{words: "hold timer expired (code 4, subcode 0)", code: 4}},
		"received":         {"received notification", gobgplog.Fields{"Code": uint8(6), "Subcode": uint8(2), "Communicated-Reason": "maintenance"}, fault{words: `the peer closed the session: cease: administrative shutdown (code 6, subcode 2): "maintenance"`, code: 6, subcode: 2, received: true}},
		"sent, as error":   {"sent notification", gobgplog.Fields{"Data": bgppacket.NewMessageError(2, 2, nil, "as number mismatch")}, fault{words: "OPEN message error: bad peer AS (code 2, subcode 2): as number mismatch", code: 2, subcode: 2}},
		"connection lost":  {"Peer Down", gobgplog.Fields{"Reason": "read-failed"}, fault{words: "the connection was lost", vague: true}},
		"peer is refused":  {"state changed", gobgplog.Fields{"old": "BGP_FSM_OPENSENT", "new": "BGP_FSM_IDLE", "reason": "read-failed"}, fault{words: "the peer closed the connection before the session was established", vague: true}},
		"nothing to catch": {"Peer Up", nil, fault{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got fault
			l := &gobgpLogger{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
			l.sink.Store(&faultSink{peer: "tor1", fault: func(f fault) { got = f }})
			l.Debug(tt.msg, tt.fields)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestGobgpCannotEndTheProcess(t *testing.T) {
	var lines int
	l := &gobgpLogger{log: slog.New(slog.NewTextHandler(writer(func([]byte) { lines++ }), nil))}
	l.Fatal("fatal", nil)
	l.Panic("panic", nil)
	if lines != 2 {
		t.Errorf("%d lines were logged, want 2", lines)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}
