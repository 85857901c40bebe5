package plan

import (
	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Defaults of a BFDProfile: those of FRR (spec.md section 7).
const (
	defaultBFDInterval   = 300 // ms
	defaultBFDMultiplier = 3
	defaultBFDEcho       = 50 // ms
	defaultBFDMinimumTTL = 254
)

// profiles are the BFDProfiles by name, as sessions take them.
type profiles map[string]*ingotv1.BfdParameters

func newProfiles(all []*metallb.BFDProfile) profiles {
	known := make(profiles, len(all))
	for _, p := range all {
		known[p.Name] = bfdParameters(p)
	}
	return known
}

// of is how the neighbour's liveness is watched: by BGP alone, which is nil, where no profile is named and while the one
// that is named does not exist.
func (p profiles) of(spec *metallb.BGPPeerSpec) *ingotv1.BfdParameters { return p[spec.BFDProfile] }

// bfdParameters are a profile's, and the defaults for what it leaves unset.
func bfdParameters(p *metallb.BFDProfile) *ingotv1.BfdParameters {
	s := &p.Spec
	return &ingotv1.BfdParameters{
		Profile:            p.Name,
		ReceiveIntervalMs:  numberOr(s.ReceiveInterval, defaultBFDInterval),
		TransmitIntervalMs: numberOr(s.TransmitInterval, defaultBFDInterval),
		DetectMultiplier:   numberOr(s.DetectMultiplier, defaultBFDMultiplier),
		EchoMode:           s.EchoMode != nil && *s.EchoMode,
		EchoIntervalMs:     numberOr(s.EchoInterval, defaultBFDEcho),
		PassiveMode:        s.PassiveMode != nil && *s.PassiveMode,
		MinimumTtl:         numberOr(s.MinimumTTL, defaultBFDMinimumTTL),
	}
}

// numberOr is a number of a profile, which the rules keep within 16 bits. One that is stored and is not would make
// nonsense of a session, so that it counts as unset.
func numberOr(n *int64, unset uint32) uint32 {
	if n == nil || *n <= 0 || *n > 1<<16-1 {
		return unset
	}
	return uint32(*n)
}
