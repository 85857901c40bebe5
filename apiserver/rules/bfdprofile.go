package rules

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// checkBFDProfile applies F1. What is unset is right.
func checkBFDProfile(p *metallb.BFDProfile, spec *field.Path) field.ErrorList {
	s := &p.Spec
	var errs field.ErrorList
	for _, n := range []struct {
		name, what string
		value      *int64
		low, high  int64
	}{
		{"receiveInterval", "receive interval", s.ReceiveInterval, 10, 60000},
		{"transmitInterval", "transmit interval", s.TransmitInterval, 10, 60000},
		{"detectMultiplier", "detect multiplier", s.DetectMultiplier, 2, 255},
		{"echoInterval", "echo interval", s.EchoInterval, 10, 60000},
		{"minimumTtl", "minimum TTL", s.MinimumTTL, 1, 254},
	} {
		if n.value != nil {
			errs = append(errs, between(*n.value, n.low, n.high, n.what, spec.Child(n.name))...)
		}
	}
	return errs
}

// checkUnused refuses to delete a profile that peers name: their sessions would lose their guard unnoticed.
func checkUnused(ix *index, p *metallb.BFDProfile) field.ErrorList {
	var users []string
	for _, peer := range ix.peers {
		if peer.Spec.BFDProfile == p.Name {
			users = append(users, peer.Name)
		}
	}
	if len(users) == 0 {
		return nil
	}
	if n := len(users) - mostUsers; n > 0 {
		users = append(users[:mostUsers], fmt.Sprintf("and %d more", n))
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), p.Name,
		fmt.Sprintf("failed to delete BFDProfile %s, used by BGPPeer %s", p.Name, strings.Join(users, ", ")))}
}
