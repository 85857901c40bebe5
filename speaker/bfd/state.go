package bfd

import "fmt"

// State is the state of a session, bfd.SessionState of RFC 5880 section 6.8.1, with its values on the wire (section 4.1).
type State uint8

// States of a session.
const (
	AdminDown State = 0
	Down      State = 1
	Init      State = 2
	Up        State = 3
)

// String returns the name that RFC 5880 gives the state.
func (s State) String() string {
	switch s {
	case AdminDown:
		return "AdminDown"
	case Down:
		return "Down"
	case Init:
		return "Init"
	case Up:
		return "Up"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Diagnostic says why a session changed its state (RFC 5880 section 4.1).
type Diagnostic uint8

// Diagnostics of RFC 5880 section 4.1.
const (
	NoDiagnostic                Diagnostic = 0
	ControlDetectionTimeExpired Diagnostic = 1
	EchoFunctionFailed          Diagnostic = 2
	NeighborSignaledDown        Diagnostic = 3
	ForwardingPlaneReset        Diagnostic = 4
	PathDown                    Diagnostic = 5
	ConcatenatedPathDown        Diagnostic = 6
	AdministrativelyDown        Diagnostic = 7
	ReverseConcatenatedPathDown Diagnostic = 8
)

var diagnostics = [...]string{
	"no diagnostic",
	"control detection time expired",
	"echo function failed",
	"neighbor signaled session down",
	"forwarding plane reset",
	"path down",
	"concatenated path down",
	"administratively down",
	"reverse concatenated path down",
}

// String returns the diagnostic in the words of RFC 5880.
func (d Diagnostic) String() string {
	if int(d) < len(diagnostics) {
		return diagnostics[d]
	}
	return fmt.Sprintf("diagnostic %d", uint8(d))
}
