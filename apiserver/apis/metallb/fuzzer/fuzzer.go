// Package fuzzer fills internal objects with random content, for round-trip tests.
package fuzzer

import (
	"sigs.k8s.io/randfill"

	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Funcs respects what holds of every object that was read from the wire: fields with a default are set.
var Funcs = func(serializer.CodecFactory) []any {
	return []any{
		func(s *metallb.IPAddressPoolSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.AutoAssign == nil {
				s.AutoAssign = new(true)
			}
		},
		func(s *metallb.BGPAdvertisementSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.AggregationLength == nil {
				s.AggregationLength = new(int32(32))
			}
			if s.AggregationLengthV6 == nil {
				s.AggregationLengthV6 = new(int32(128))
			}
		},
		func(s *metallb.AddressPoolSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.AutoAssign == nil {
				s.AutoAssign = new(true)
			}
			for i := range s.BGPAdvertisements {
				ad := &s.BGPAdvertisements[i]
				if ad.AggregationLength == nil {
					ad.AggregationLength = new(int32(32))
				}
				if ad.AggregationLengthV6 == nil {
					ad.AggregationLengthV6 = new(int32(128))
				}
			}
		},
		func(s *metallb.BGPPeerSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.Port == 0 {
				s.Port = 179
			}
			if c.Bool() { // random text hardly ever turns a timer off
				s.HoldTime, s.KeepaliveTime = new(metallb.Duration("0s")), new(metallb.Duration("0h0m"))
			}
		},
	}
}
