package rules

import (
	"math"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// maxPort is the highest port that MetalLB's schema allows a peer to listen on.
const maxPort = 16384

// maxTimer is the longest time that fits BGP's 16-bit fields of whole seconds (RFC 4271 section 4.2).
const maxTimer = math.MaxUint16 * time.Second

// checkPeer applies B1 to B13 and the ranges of the schema; old is nil on create.
func checkPeer(peer, old *metallb.BGPPeer, spec *field.Path) field.ErrorList {
	s := &peer.Spec
	errs := checkASNs(s, spec)
	errs = append(errs, checkEndpoints(s, spec)...)
	errs = append(errs, checkTimers(s, spec)...)
	errs = append(errs, checkSelectors(s.NodeSelectors, spec, "nodeSelectors")...)
	errs = append(errs, checkExpressions(s.NodeSelectors, spec.Child("nodeSelectors"))...)
	if len(s.Password) > metallb.MaxPassword {
		errs = append(errs, field.TooLong(spec.Child("password"), "", metallb.MaxPassword)) // does not show it
	}
	if s.Password != "" && s.PasswordSecret.Name != "" {
		// The message shows the Secret's name; the password must not appear in it.
		errs = append(errs, field.Invalid(spec.Child("passwordSecret", "name"), s.PasswordSecret.Name,
			"can not have both password and passwordSecret"))
	}
	if old != nil {
		was, is := old.Spec.EnableGracefulRestart, s.EnableGracefulRestart
		if was != nil && is != nil && *was != *is {
			errs = append(errs, field.Invalid(spec.Child("enableGracefulRestart"), *is, "cannot be changed after creation"))
		}
	}
	return errs
}

// checkASNs applies B1 to B5.
func checkASNs(s *metallb.BGPPeerSpec, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.MyASN == 0 {
		errs = append(errs, field.Invalid(spec.Child("myASN"), s.MyASN, "missing local ASN: must be 1 to 4294967295"))
	}
	// 0 is unset.
	numbered := func(number int64, what, name string) {
		if number != 0 {
			errs = append(errs, between(number, 1, math.MaxUint32, what, spec.Child(name))...)
		}
	}
	numbered(s.MyASN, "local ASN", "myASN")
	numbered(s.ASN, "peer ASN", "peerASN")
	numbered(s.LocalASN, "localASN", "localASN")
	dynamic := spec.Child("dynamicASN")
	switch {
	case s.ASN == 0 && s.DynamicASN == "":
		errs = append(errs, field.Required(spec.Child("peerASN"), "missing peer ASN and dynamicASN: give one of them"))
	case s.ASN != 0 && s.DynamicASN != "":
		errs = append(errs, field.Invalid(dynamic, s.DynamicASN, "both peerASN and dynamicASN specified: give one of them"))
	}
	switch s.DynamicASN {
	case "", metallb.InternalASN, metallb.ExternalASN:
	default:
		errs = append(errs, field.NotSupported(dynamic, s.DynamicASN, []metallb.DynamicASNMode{metallb.InternalASN, metallb.ExternalASN}))
	}
	if s.EBGPMultiHop && s.ASN != 0 && s.ASN == s.MyASN {
		errs = append(errs, field.Invalid(spec.Child("ebgpMultiHop"), true, "invalid ebgp-multihop for an ibgp peer: peerASN equals myASN"))
	}
	return errs
}

// checkEndpoints applies B6 and B7: who talks to whom, and on which port.
func checkEndpoints(s *metallb.BGPPeerSpec, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch {
	case s.Address == "" && s.Interface == "":
		errs = append(errs, field.Required(spec.Child("peerAddress"), "peer has no Address and no Interface: give one of them"))
	case s.Address != "" && s.Interface != "":
		errs = append(errs, field.Invalid(spec.Child("interface"), s.Interface, "peer has both Address and Interface: give one of them"))
	}
	errs = append(errs, checkAddress(s.Address, "invalid BGPPeer address", spec.Child("peerAddress"))...)
	errs = append(errs, checkAddress(s.SrcAddress, "invalid source IP", spec.Child("sourceAddress"))...)
	if why := differentFamilies(s); why != "" && len(errs) == 0 {
		errs = append(errs, field.Invalid(spec.Child("sourceAddress"), s.SrcAddress, why))
	}
	if s.Interface != "" {
		errs = append(errs, checkDevice(s.Interface, "interface", spec.Child("interface"))...)
	}
	if s.VRFName != "" {
		errs = append(errs, checkDevice(s.VRFName, "VRF", spec.Child("vrf"))...)
	}
	if id, err := netip.ParseAddr(s.RouterID); s.RouterID != "" && (err != nil || !id.Is4() || id.IsUnspecified()) {
		errs = append(errs, field.Invalid(spec.Child("routerID"), s.RouterID, "invalid router ID: must be an IPv4 address other than 0.0.0.0"))
	}
	return append(errs, between(s.Port, 1, maxPort, "peer port", spec.Child("peerPort"))...)
}

// checkAddress accepts addresses without a zone: a zone is a name on one node, and the peer is for many. Empty is unset.
func checkAddress(s, problem string, path *field.Path) field.ErrorList {
	if s == "" {
		return nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return field.ErrorList{field.Invalid(path, s, problem+": must be an IPv4 or IPv6 address")}
	}
	if why := unreachable(a); why != "" {
		return field.ErrorList{field.Invalid(path, s, problem+": "+why)}
	}
	return nil
}

// differentFamilies says that no session can be, for its two ends have addresses that cannot reach each other.
func differentFamilies(s *metallb.BGPPeerSpec) string {
	source, err := netip.ParseAddr(s.SrcAddress)
	peer, err2 := netip.ParseAddr(s.Address)
	if err != nil || err2 != nil || source.Unmap().Is4() == peer.Unmap().Is4() {
		return ""
	}
	return "invalid source IP: it and peerAddress " + s.Address + " are of different families"
}

// checkTimers applies B8, B9 and B12. A keepalive time needs a hold time and must be less: our users' rule, stricter
// than MetalLB's. Both may be 0, which turns the timers off.
func checkTimers(s *metallb.BGPPeerSpec, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	invalid := func(name string, written *metallb.Duration, message string) {
		errs = append(errs, field.Invalid(spec.Child(name), string(*written), message))
	}
	parse := func(name, what string, written *metallb.Duration) (length time.Duration, ok bool) {
		if written == nil {
			return 0, false
		}
		length, err := written.Parse()
		if err != nil {
			invalid(name, written, "invalid "+what+" time: "+err.Error())
		}
		return length, err == nil
	}
	hold, held := parse("holdTime", "hold", s.HoldTime)
	if held {
		// BGP sends whole seconds: what is less than one is 0.
		seconds := hold.Truncate(time.Second)
		if hold < 0 || seconds > 0 && seconds < 3*time.Second {
			invalid("holdTime", s.HoldTime, "invalid hold time: must be 0 or >=3s")
		} else if hold > maxTimer {
			invalid("holdTime", s.HoldTime, "invalid hold time: must be at most 65535s")
		}
	}
	if keepalive, ok := parse("keepaliveTime", "keepalive", s.KeepaliveTime); ok {
		switch {
		case keepalive < 0:
			invalid("keepaliveTime", s.KeepaliveTime, "invalid keepalive time: must not be negative")
		case s.HoldTime == nil:
			invalid("keepaliveTime", s.KeepaliveTime, "invalid keepalive time: needs holdTime to be set too")
		case held && keepalive >= hold && keepalive != 0:
			invalid("keepaliveTime", s.KeepaliveTime, "invalid keepalive time: must be lower than holdTime "+string(*s.HoldTime))
		}
	}
	if connect, ok := parse("connectTime", "connect", s.ConnectTime); ok {
		switch {
		case connect < time.Second || connect > maxTimer:
			invalid("connectTime", s.ConnectTime, "invalid connect time: must be 1s to 65535s")
		case connect%time.Second != 0:
			invalid("connectTime", s.ConnectTime, "invalid connect time: must be whole seconds")
		}
	}
	return errs
}
