package liveness

import (
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/bfd"
)

// watch is how the neighbour of one BGP session is watched.
type watch struct {
	watcher *Watcher
	peer    string
	log     *slog.Logger

	mu      sync.Mutex
	config  *ingotv1.BgpSession
	key     bfd.Key
	session session // nil while there is no way to the neighbour, and afterwards
	// generation tells calls of the present session from those of one before.
	generation int
	last       bfd.Status
	// opened is since when the session was what apply found when it opened it.
	opened time.Time
	// before counts what sessions before this one did, between other addresses.
	before bfd.Counters
	// since is when the watch began; trouble is what is in its way.
	since   time.Time
	trouble string
	// told counts what BGP was told.
	told uint64
}

func newWatch(w *Watcher, s *ingotv1.BgpSession) *watch {
	return &watch{
		watcher: w, peer: s.GetPeer(), since: time.Now(),
		log: w.log.With("peer", s.GetPeer(), "address", neighbour(s), "vrf", s.GetVrf()),
	}
}

// neighbour is how a neighbour is called: by its address, or else the interface.
func neighbour(s *ingotv1.BgpSession) string {
	if s.GetInterface() != "" {
		return s.GetInterface()
	}
	return s.GetAddress()
}

// parametersOf are those of an item. What the engine cannot take of them it refuses.
func parametersOf(b *ingotv1.BfdParameters) bfd.Parameters {
	ms := func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
	return bfd.Parameters{
		ReceiveInterval: ms(b.GetReceiveIntervalMs()), TransmitInterval: ms(b.GetTransmitIntervalMs()), EchoInterval: ms(b.GetEchoIntervalMs()),
		DetectMultiplier: uint8(min(b.GetDetectMultiplier(), 255)), Echo: b.GetEchoMode(), Passive: b.GetPassiveMode(),
		MinimumTTL: uint8(min(b.GetMinimumTtl(), 255)),
	}
}

// apply makes the watch that of a BGP session whose ends are those of key. Without a way to the neighbour, a session that
// there is goes on: it shows itself whether the neighbour is reachable.
func (x *watch) apply(s *ingotv1.BgpSession, key bfd.Key, lost error) {
	var up *bfd.Status
	defer func() {
		if up != nil {
			x.rose(*up)
		}
	}()
	x.mu.Lock()
	defer x.mu.Unlock()
	defer x.watcher.notify()
	first := x.config == nil
	retune := !first && !proto.Equal(x.config.GetBfd(), s.GetBfd())
	x.config, x.trouble = s, ""
	if lost != nil {
		x.trouble = lost.Error()
		if key = x.key; x.session == nil || !meant(key, s) {
			x.drop()
			return
		}
	}
	p := parametersOf(s.GetBfd())
	if x.session != nil && x.key == key {
		if !retune {
			return
		}
		if err := x.session.Retune(p); err != nil {
			x.trouble = err.Error()
			x.log.Error("cannot change the BFD session", "op", "retune", "error", err)
			return
		}
		x.log.Info("BFD session changed, no need to start it anew", "event", "bfdRetuned", "profile", s.GetBfd().GetProfile())
		return
	}
	x.drop()
	x.generation++
	generation := x.generation
	opened, err := x.watcher.engine.open(key, p, func(status bfd.Status) { x.observe(generation, status) })
	if err != nil {
		x.trouble = err.Error()
		x.log.Error("cannot watch the neighbour by BFD", "op", "openBFD", "error", err)
		return
	}
	x.key, x.session, x.last = key, opened, opened.Status()
	x.opened = x.last.Since
	x.log.Info("watching the neighbour by BFD", "event", "bfdAdded", "profile", s.GetBfd().GetProfile(), "local", key.Local.String(),
		"interface", key.Interface, "multiHop", key.MultiHop)
	// It may be up by now, or have been for long, where the neighbour is watched for another purpose as well. To observe that will be
	// no news.
	if x.last.State == bfd.Up {
		x.told++
		now := x.last
		up = &now
	}
}

// meant says whether a session is with the neighbour that s names.
func meant(k bfd.Key, s *ingotv1.BgpSession) bool {
	if s.GetInterface() != "" {
		return k.Interface == s.GetInterface() && k.VRF == s.GetVrf()
	}
	return k.Remote == addressOf(s.GetAddress()) && k.VRF == s.GetVrf()
}

// drop closes the session, if there is one. x.mu is held.
func (x *watch) drop() {
	if x.session == nil {
		return
	}
	x.generation++
	x.before = x.counters(x.session.Status())
	x.session.Close()
	x.session, x.key = nil, bfd.Key{}
}

// counters of this session and those before it. x.mu is held.
func (x *watch) counters(s bfd.Status) bfd.Counters {
	return bfd.Counters{
		ControlReceived: x.before.ControlReceived + s.Counters.ControlReceived, ControlSent: x.before.ControlSent + s.Counters.ControlSent,
		EchoReceived: x.before.EchoReceived + s.Counters.EchoReceived, EchoSent: x.before.EchoSent + s.Counters.EchoSent,
		UpEvents: x.before.UpEvents + s.Counters.UpEvents, DownEvents: x.before.DownEvents + s.Counters.DownEvents,
	}
}

// close ends the watch.
func (x *watch) close(reason string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop()
	x.log.Info("neighbour not watched by BFD any more", "event", "bfdRemoved", "reason", reason)
}

// end says AdminDown; what comes back is closed when the neighbour has heard, and nil where there is nobody to tell.
func (x *watch) end() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.session == nil {
		return nil
	}
	return x.session.AdminDown()
}

// observe follows the session. Calls come one at a time.
func (x *watch) observe(generation int, now bfd.Status) {
	x.mu.Lock()
	if generation != x.generation || now.Since.Before(x.opened) { // apply saw what is newer
		x.mu.Unlock()
		return
	}
	before := x.last
	x.last = now
	rose, fell := now.State == bfd.Up && before.State != bfd.Up, now.State != bfd.Up && before.State == bfd.Up
	if rose || fell {
		x.told++
	}
	x.mu.Unlock()
	switch {
	case rose:
		x.rose(now)
	case fell && now.Failed:
		x.log.Warn("BFD session down", "event", "bfdSessionDown", "error", now.Diagnostic.String(), "wasUp", now.Since.Sub(before.Since).String(),
			"endedBGP", x.watcher.bgp.PathDown(x.peer, now.Diagnostic.String()))
	case fell:
		x.log.Info("BFD session taken down on purpose, BGP goes on", "event", "bfdSessionDown", "reason", purpose(now))
	}
	x.watcher.notify()
}

// rose says that the session came up.
func (x *watch) rose(now bfd.Status) {
	x.log.Info("BFD session up", "event", "bfdSessionUp", "detectionTime", now.DetectionTime.String())
	x.watcher.bgp.PathUp(x.peer)
}

// purpose says who took a session down.
func purpose(s bfd.Status) string {
	if s.RemoteState == bfd.AdminDown {
		return "the neighbour says that it is administratively down"
	}
	return s.Diagnostic.String()
}

// report says how the session fares.
func (x *watch) report() *ingotv1.BfdReport {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := &ingotv1.BfdReport{
		Peer: x.peer, Address: x.config.GetAddress(), Interface: x.config.GetInterface(), Vrf: x.config.GetVrf(), Profile: x.config.GetBfd().GetProfile(),
		State: bfd.Down.String(), SinceMs: x.since.UnixMilli(), Counters: &ingotv1.BfdCounters{},
	}
	counters := x.before
	if x.session != nil {
		counters = x.describe(r)
	}
	r.Counters = &ingotv1.BfdCounters{
		ControlReceived: counters.ControlReceived, ControlSent: counters.ControlSent,
		EchoReceived: counters.EchoReceived, EchoSent: counters.EchoSent,
		UpEvents: counters.UpEvents, DownEvents: counters.DownEvents,
	}
	if x.trouble != "" {
		r.Notices = append(r.Notices, x.trouble)
	}
	return r
}

// describe fills in what the session says, and returns its counters. x.mu is held.
func (x *watch) describe(r *ingotv1.BfdReport) bfd.Counters {
	s := x.session.Status()
	us := func(d time.Duration) uint32 { return uint32(d.Microseconds()) }
	r.Address = x.key.Remote.String()
	if r.Interface == "" {
		r.Interface = x.key.Interface
	}
	if local := s.Local.Addr(); local.IsValid() && !local.IsUnspecified() {
		r.LocalAddress = local.WithZone("").String()
	} else if x.key.Local.IsValid() {
		r.LocalAddress = x.key.Local.String()
	}
	r.MultiHop = x.key.MultiHop
	r.State, r.RemoteState, r.SinceMs = s.State.String(), s.RemoteState.String(), s.Since.UnixMilli()
	r.Diagnostic, r.RemoteDiagnostic = words(s.LastDown), words(s.RemoteDiagnostic)
	r.LocalDiscriminator, r.RemoteDiscriminator = s.LocalDiscriminator, s.RemoteDiscriminator
	r.TransmitIntervalUs, r.DetectionTimeUs, r.EchoTransmitIntervalUs = us(s.TransmitInterval), us(s.DetectionTime), us(s.EchoTransmitInterval)
	r.RemoteReceiveIntervalUs, r.RemoteTransmitIntervalUs = us(s.RemoteReceiveInterval), us(s.RemoteTransmitInterval)
	r.RemoteEchoIntervalUs, r.RemoteDetectMultiplier = us(s.RemoteEchoInterval), uint32(s.RemoteDetectMultiplier)
	r.Notices = append(r.Notices, s.Notices...)
	return x.counters(s)
}

// words of a diagnostic; none for none.
func words(d bfd.Diagnostic) string {
	if d == bfd.NoDiagnostic {
		return ""
	}
	return d.String()
}
