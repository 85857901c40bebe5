package v1beta1

import (
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/conversion"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// defaultPeerPort is what peerPort 0 means (RFC 4271 section 8.2.1).
const defaultPeerPort = 179

// Convert_v1beta1_BGPPeer_To_metallb_BGPPeer reads what this version has no field for from annotations, which then are
// no more.
func Convert_v1beta1_BGPPeer_To_metallb_BGPPeer(in *BGPPeer, out *metallb.BGPPeer, s conversion.Scope) error {
	if err := autoConvert_v1beta1_BGPPeer_To_metallb_BGPPeer(in, out, s); err != nil {
		return err
	}
	u, remain, err := cutUnsaid(in.Annotations)
	if err != nil {
		return err
	}
	u.put(&out.Spec)
	if len(remain) != len(in.Annotations) {
		out.Annotations = remain
	}
	keepZeros(in, out)
	return nil
}

// Convert_metallb_BGPPeer_To_v1beta1_BGPPeer is the way back.
func Convert_metallb_BGPPeer_To_v1beta1_BGPPeer(in *metallb.BGPPeer, out *BGPPeer, s conversion.Scope) error {
	if err := autoConvert_metallb_BGPPeer_To_v1beta1_BGPPeer(in, out, s); err != nil {
		return err
	}
	said, err := unsaidOf(&in.Spec).annotations()
	if err != nil {
		return err
	}
	stale := func(name, _ string) bool { return strings.HasPrefix(name, UnsaidPrefix) }
	out.Annotations = maps.Clone(in.Annotations) // the converted object shares them
	maps.DeleteFunc(out.Annotations, stale)      // stored through another version, they say nothing
	if out.Annotations == nil && len(said) > 0 {
		out.Annotations = map[string]string{}
	}
	maps.Copy(out.Annotations, said)
	showZeros(in, out)
	return nil
}

// Convert_v1beta1_BGPPeerSpec_To_metallb_BGPPeerSpec takes zero for unset: MetalLB wrote "0s" for timers that nobody had
// set.
func Convert_v1beta1_BGPPeerSpec_To_metallb_BGPPeerSpec(in *BGPPeerSpec, out *metallb.BGPPeerSpec, s conversion.Scope) error {
	if err := autoConvert_v1beta1_BGPPeerSpec_To_metallb_BGPPeerSpec(in, out, s); err != nil {
		return err
	}
	if out.Port == 0 {
		out.Port = defaultPeerPort
	}
	return nil
}

// Convert_metallb_BGPPeerSpec_To_v1beta1_BGPPeerSpec leaves out what this version has no field for; that goes into the
// annotation.
func Convert_metallb_BGPPeerSpec_To_v1beta1_BGPPeerSpec(in *metallb.BGPPeerSpec, out *BGPPeerSpec, s conversion.Scope) error {
	return autoConvert_metallb_BGPPeerSpec_To_v1beta1_BGPPeerSpec(in, out, s)
}

// Convert_v1beta1_Duration_To_Pointer_metallb_Duration takes zero for unset.
func Convert_v1beta1_Duration_To_Pointer_metallb_Duration(in *Duration, out **metallb.Duration, _ conversion.Scope) error {
	*out = nil
	if d := metallb.Duration(*in); !isUnset(&d) {
		*out = &d
	}
	return nil
}

// Convert_Pointer_metallb_Duration_To_v1beta1_Duration is the way back. A timer that is not set does not exist, though MetalLB
// shows "0s": server-side apply would otherwise keep one that its manager removes.
func Convert_Pointer_metallb_Duration_To_v1beta1_Duration(in **metallb.Duration, out *Duration, _ conversion.Scope) error {
	*out = ""
	if *in != nil {
		*out = Duration(**in)
	}
	return nil
}
