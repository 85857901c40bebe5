package v1beta1

import (
	"maps"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// ZeroPrefix begins the names of annotations that are stored on a BGPPeer whose timers were written in this version as zero,
// which means unset: the name of the field follows, and the value is what was written. This version shows them as what they
// were, not as annotations, so that those who compare a manifest with what is served find no difference: without them each
// kubectl apply of a manifest that MetalLB exported would change the object anew.
const ZeroPrefix = "v1beta1.ingot.io/"

// timer is one of the fields that may be written as zero.
type timer struct {
	name   string
	stored *metallb.Duration
	shown  *Duration
}

func timers(stored *metallb.BGPPeerSpec, shown *BGPPeerSpec) []timer {
	return []timer{{"holdTime", stored.HoldTime, &shown.HoldTime}, {"keepaliveTime", stored.KeepaliveTime, &shown.KeepaliveTime}}
}

// keepZeros notes in the annotations of a peer that is to be stored which timers were written as zero.
func keepZeros(in *BGPPeer, out *metallb.BGPPeer) {
	noted := withoutZeros(out.Annotations)
	for _, t := range timers(&out.Spec, &in.Spec) {
		if t.stored == nil && *t.shown != "" {
			if noted == nil {
				noted = map[string]string{}
			}
			noted[ZeroPrefix+t.name] = string(*t.shown)
		}
	}
	out.Annotations = noted
}

// ForgetZeros removes the notes of timers that are set: CarryUnsaid may set one that the writer seemed to unset.
func ForgetZeros(p *metallb.BGPPeer) {
	for _, t := range timers(&p.Spec, &BGPPeerSpec{}) {
		if _, noted := p.Annotations[ZeroPrefix+t.name]; t.stored != nil && noted {
			p.Annotations = maps.Clone(p.Annotations)
			delete(p.Annotations, ZeroPrefix+t.name)
		}
	}
	if len(p.Annotations) == 0 {
		p.Annotations = nil
	}
}

// showZeros is the way back. What an annotation says of a timer that is set, or says that is not zero, is nobody's word.
func showZeros(in *metallb.BGPPeer, out *BGPPeer) {
	for _, t := range timers(&in.Spec, &out.Spec) {
		if written := metallb.Duration(in.Annotations[ZeroPrefix+t.name]); t.stored == nil && isUnset(&written) {
			*t.shown = Duration(written)
		}
	}
	out.Annotations = withoutZeros(out.Annotations)
}

// withoutZeros leaves annotations as they are where none is of ours; otherwise it returns a copy, nil where nothing is left.
func withoutZeros(annotations map[string]string) map[string]string {
	kept := annotations
	for _, name := range []string{"holdTime", "keepaliveTime"} {
		if _, noted := kept[ZeroPrefix+name]; noted {
			kept = maps.Clone(kept)
			delete(kept, ZeroPrefix+name)
		}
	}
	if len(kept) == 0 && len(annotations) > 0 {
		return nil
	}
	return kept
}
