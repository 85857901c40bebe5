package v1beta1

import (
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// UnsaidPrefix begins the names of the annotations that show, on a BGPPeer in this version, what the version has no
// field for: the name of v1beta2's field follows, and the value is JSON. They exist on the wire of this version alone. An
// object that is created with them, from a backup for example, gets what they say; an update through this version leaves
// those fields as they are stored, see CarryUnsaid.
//
// Server-side apply works out who may remove what by converting objects to each version that a manager has written in, and
// looks at what exists there, not at values. So nothing may be lost on the way, and each field needs an annotation of its
// own: in one for all, a field that its manager removes would stay.
const UnsaidPrefix = "v1beta2.ingot.io/"

// unsaid is what a peer holds and this version cannot say. The two timers are here where they are turned off (zero), for
// in this version zero means unset.
//
// +k8s:openapi-gen=false
type unsaid struct {
	DynamicASN             metallb.DynamicASNMode `json:"dynamicASN,omitempty"`
	LocalASN               int64                  `json:"localASN,omitempty"`
	Interface              string                 `json:"interface,omitempty"`
	HoldTime               *metallb.Duration      `json:"holdTime,omitempty"`
	KeepaliveTime          *metallb.Duration      `json:"keepaliveTime,omitempty"`
	ConnectTime            *metallb.Duration      `json:"connectTime,omitempty"`
	PasswordSecret         corev1.SecretReference `json:"passwordSecret,omitzero"`
	EnableGracefulRestart  *bool                  `json:"enableGracefulRestart,omitempty"`
	VRFName                string                 `json:"vrf,omitempty"`
	DualStackAddressFamily bool                   `json:"dualStackAddressFamily,omitempty"`
	DisableMP              bool                   `json:"disableMP,omitempty"`
}

func unsaidOf(s *metallb.BGPPeerSpec) unsaid {
	u := unsaid{
		DynamicASN: s.DynamicASN, LocalASN: s.LocalASN, Interface: s.Interface, ConnectTime: s.ConnectTime,
		PasswordSecret: s.PasswordSecret, EnableGracefulRestart: s.EnableGracefulRestart, VRFName: s.VRFName,
		DualStackAddressFamily: s.DualStackAddressFamily, DisableMP: s.DisableMP,
	}
	if isUnset(s.HoldTime) {
		u.HoldTime = s.HoldTime
	}
	if isUnset(s.KeepaliveTime) {
		u.KeepaliveTime = s.KeepaliveTime
	}
	return u
}

// put makes s say what u does. A timer that s sets is said in this version, and stays.
func (u unsaid) put(s *metallb.BGPPeerSpec) {
	s.DynamicASN, s.LocalASN, s.Interface, s.ConnectTime = u.DynamicASN, u.LocalASN, u.Interface, u.ConnectTime
	s.PasswordSecret, s.EnableGracefulRestart, s.VRFName = u.PasswordSecret, u.EnableGracefulRestart, u.VRFName
	s.DualStackAddressFamily, s.DisableMP = u.DualStackAddressFamily, u.DisableMP
	if isUnset(s.HoldTime) {
		s.HoldTime = u.HoldTime
	}
	if isUnset(s.KeepaliveTime) {
		s.KeepaliveTime = u.KeepaliveTime
	}
}

// isUnset says whether this version has a timer for unset: absent, empty or zero.
func isUnset(d *metallb.Duration) bool {
	if d == nil || *d == "" {
		return true
	}
	length, err := d.Parse()
	return err == nil && length == 0
}

// CarryUnsaid makes of everything in dst that this version cannot say what it is in src. So writes through this version,
// in whatever form, change what its fields say and nothing else.
func CarryUnsaid(dst, src *metallb.BGPPeerSpec) {
	unsaidOf(src.DeepCopy()).put(dst)
}

// SameUnsaid says whether this version hides no difference between two peers.
func SameUnsaid(a, b *metallb.BGPPeerSpec) bool {
	return apiequality.Semantic.DeepEqual(unsaidOf(a), unsaidOf(b))
}

// annotations are by name; empty where there is nothing to say.
func (u unsaid) annotations() (map[string]string, error) {
	var fields map[string]json.RawMessage
	text, err := json.Marshal(u)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		return nil, fmt.Errorf("annotations %s*: %w", UnsaidPrefix, err)
	}
	all := map[string]string{}
	for field, value := range fields {
		all[UnsaidPrefix+field] = string(value)
	}
	return all, nil
}

// cutUnsaid takes apart what annotations say and those that remain. Nothing is said by those of fields that do not exist.
func cutUnsaid(annotations map[string]string) (u unsaid, remain map[string]string, err error) {
	for name, value := range annotations {
		field, ok := strings.CutPrefix(name, UnsaidPrefix)
		if !ok {
			if remain == nil {
				remain = map[string]string{}
			}
			remain[name] = value
			continue
		}
		text, err := json.Marshal(map[string]json.RawMessage{field: json.RawMessage(value)})
		if err == nil {
			err = json.Unmarshal(text, &u)
		}
		if err != nil {
			return unsaid{}, nil, fmt.Errorf("annotation %s: must be the JSON of v1beta2's spec.%s", name, field)
		}
	}
	return u, remain, nil
}
