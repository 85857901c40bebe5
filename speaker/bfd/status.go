package bfd

import (
	"net/netip"
	"time"
)

// Status is what is known of a session at one time.
type Status struct {
	Key Key
	// Address and port that packets are sent from; not valid as long as none could be sent.
	Local netip.AddrPort
	// The state of this end, and that which the neighbour reported last.
	State, RemoteState State
	// When State changed last.
	Since time.Time
	// Why State changed last, and why, in its words, the neighbour's did.
	Diagnostic, RemoteDiagnostic Diagnostic
	// Why the session last left Up.
	LastDown Diagnostic
	// Failed: the session was Up and is not, because the path or the neighbour failed. It is false when either end took the
	// session down on purpose: then a routing protocol has no reason to act (RFC 5882 section 3.2).
	Failed bool
	// Numbers of the session; the neighbour's is 0 while it is not heard.
	LocalDiscriminator, RemoteDiscriminator uint32
	// In use: between our packets, before jitter, and from the neighbour's last packet to failure. The latter is 0 while the
	// neighbour is not heard.
	TransmitInterval, DetectionTime time.Duration
	// Between echo packets, before jitter; 0 while none are sent.
	EchoTransmitInterval time.Duration
	// What the neighbour said last; 0 while it is not heard.
	RemoteReceiveInterval, RemoteTransmitInterval, RemoteEchoInterval time.Duration
	RemoteDetectMultiplier                                            uint8
	Counters                                                          Counters
	// Where the session is not as its parameters have it, in words.
	Notices []string
}

// Counters count since the session was opened.
type Counters struct {
	ControlReceived, ControlSent uint64
	EchoReceived, EchoSent       uint64
	// Changes of State to Up, and from Up.
	UpEvents, DownEvents uint64
	// Packets for this session that were thrown away.
	Discarded uint64
}

// view is what makes a change worth telling: everything in a Status but counters, times and notices.
type view struct {
	state, remoteState             State
	since                          time.Time
	diagnostic, remoteDiagnostic   Diagnostic
	localDiscr, remoteDiscr        uint32
	failed                         bool
	transmit, detection, echo      time.Duration
	remoteRx, remoteTx, remoteEcho time.Duration
	remoteMult                     uint8
}

func (m *machine) view() view {
	v := view{
		state: m.sessionState, remoteState: m.remoteSessionState, since: m.since,
		diagnostic: m.localDiag, remoteDiagnostic: m.remoteDiag,
		localDiscr: m.localDiscr, remoteDiscr: m.remoteDiscr, failed: m.failed,
		transmit: m.interval(), detection: m.detectionTime(), echo: m.echoInterval(),
		remoteTx: m.remoteMinTx, remoteEcho: m.remoteMinEchoRx, remoteMult: m.remoteDetectMult,
	}
	if m.remoteDiscr != 0 {
		v.remoteRx = m.remoteMinRx
	}
	return v
}

// status fills in what the machine knows.
func (m *machine) status() Status {
	v := m.view()
	return Status{
		State: v.state, RemoteState: v.remoteState, Since: v.since,
		Diagnostic: v.diagnostic, RemoteDiagnostic: v.remoteDiagnostic, LastDown: m.lastDown, Failed: v.failed,
		LocalDiscriminator: v.localDiscr, RemoteDiscriminator: v.remoteDiscr,
		TransmitInterval: v.transmit, DetectionTime: v.detection, EchoTransmitInterval: v.echo,
		RemoteReceiveInterval: v.remoteRx, RemoteTransmitInterval: v.remoteTx, RemoteEchoInterval: v.remoteEcho,
		RemoteDetectMultiplier: v.remoteMult,
		Counters:               Counters{UpEvents: m.upEvents, DownEvents: m.downEvents},
	}
}

// status is Status; the caller holds mu.
func (s *Session) status() Status {
	st := s.machine.status()
	st.Key = s.key
	if s.control.sender != nil {
		st.Local = s.control.sender.Local()
	}
	up, down := st.Counters.UpEvents, st.Counters.DownEvents
	st.Counters = s.counters
	st.Counters.UpEvents, st.Counters.DownEvents = up, down
	st.Notices = s.notices()
	return st
}

// notices says where the session is not as its parameters have it. The caller holds mu.
func (s *Session) notices() []string {
	var all []string
	add := func(text string, applies bool) {
		if applies && text != "" {
			all = append(all, text)
		}
	}
	if t := s.receiver.trouble.Load(); t != nil {
		add(*t, true)
	}
	add(s.control.trouble, true)
	if s.discarded != 0 {
		add("thrown away: a packet that "+s.discarded.Error(), true)
	}
	m := s.machine
	if !m.wanted.Echo {
		return all
	}
	up := m.sessionState == Up
	add("no echo function: it works over one hop only", s.key.MultiHop)
	add("no echo function: it works over IPv4 only", !s.key.MultiHop && !s.echoCapable())
	if !s.echoCapable() {
		return all
	}
	add("echo packets: "+s.echo.trouble, s.echo.trouble != "")
	add("the neighbour does not accept echo packets", up && m.remoteMinEchoRx == 0)
	add("the neighbour does not send back echo packets", m.echo.active && !m.echo.working && s.sequence > uint64(m.detectMult))
	add("the neighbour's echo packets are not accepted: this host would not send them back (IPv4 forwarding is off)", !m.echoReflected && !s.askReflects)
	return all
}
