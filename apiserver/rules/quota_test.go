package rules

import (
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

func TestCooldownAndQuota(t *testing.T) {
	resting := func(d metallb.Duration) *metallb.IPAddressPool {
		return allocatedTo(metallb.ServiceAllocation{Cooldown: &d})
	}
	limited := func(q metallb.Quota) *metallb.IPAddressPool {
		p := newPool("p", "10.0.0.0/24")
		p.Spec.Quota = &q
		return p
	}
	run(t, nil, []verdict{
		{name: "cooldown", obj: resting("5m")},
		{name: "no cooldown", obj: resting("0s")},
		{name: "not a length of time", obj: resting("5"), want: []problem{
			{"spec.serviceAllocation.cooldown", `Invalid value: "5": invalid cooldown: must be a number with a unit`}}},
		{name: "into the past", obj: resting("-5m"), want: []problem{{"spec.serviceAllocation.cooldown", "must not be negative"}}},
		{name: "quota", obj: limited(metallb.Quota{PerNamespace: new(int64(4)), Namespaces: []metallb.NamespaceQuota{{Name: "a", Limit: 10}, {Name: "b"}}})},
		{name: "quota of nothing", obj: limited(metallb.Quota{})},
		{name: "none for anybody", obj: limited(metallb.Quota{PerNamespace: new(int64(0))})},
		{name: "below zero", obj: limited(metallb.Quota{PerNamespace: new(int64(-1)), Namespaces: []metallb.NamespaceQuota{{Name: "a", Limit: -2}}}), want: []problem{
			{"spec.quota.perNamespace", "Invalid value: -1: must be greater than or equal to 0"},
			{"spec.quota.namespaces[0].limit", "Invalid value: -2: must be greater than or equal to 0"}}},
		{name: "twice", obj: limited(metallb.Quota{Namespaces: []metallb.NamespaceQuota{{Name: "a"}, {Name: "b"}, {Name: "a"}}}), want: []problem{
			{"spec.quota.namespaces[2].name", `Duplicate value: "a"`}}},
		{name: "no name", obj: limited(metallb.Quota{Namespaces: []metallb.NamespaceQuota{{}, {Name: "A_b"}}}), want: []problem{
			{"spec.quota.namespaces[0].name", "Required value"}, {"spec.quota.namespaces[1].name", "lower case"}}},
	})
}
