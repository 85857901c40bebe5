package rules

import (
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// newCommunity defines aliases, given as name, value, name, value.
func newCommunity(name string, definitions ...string) *metallb.Community {
	c := &metallb.Community{ObjectMeta: named(name)}
	for i := 0; i < len(definitions); i += 2 {
		c.Spec.Communities = append(c.Spec.Communities, metallb.CommunityAlias{Name: definitions[i], Value: definitions[i+1]})
	}
	return c
}

func TestCommunity(t *testing.T) {
	c := &metallb.Configuration{
		Communities: []*metallb.Community{newCommunity("isp", "no-export", "65535:65281"), newCommunity("ours", "mine", "1:1")},
		BGPAdvertisements: []*metallb.BGPAdvertisement{
			{ObjectMeta: named("web"), Spec: metallb.BGPAdvertisementSpec{Communities: []string{"mine", "1:2"}}}},
	}
	run(t, c, []verdict{
		{name: "empty", obj: newCommunity("a")},
		{name: "values", obj: newCommunity("a", "standard", "65535:0", "wide", "large:4294967295:0:1")},
		{name: "two names of one value", obj: newCommunity("a", "one", "1:1", "two", "1:1")},
		{name: "C1", obj: newCommunity("a", "x", "1:65536", "y", "small:1:2:3", "z", "1:2:3", "none", "", "nested", "mine"), want: []problem{
			{"spec.communities[0].value", `Invalid value: "1:65536": parsing community "x": invalid community value: invalid section`},
			{"spec.communities[1].value", "expected community to be of format large"},
			{"spec.communities[2].value", "invalid community format"},
			{"spec.communities[3].value", `parsing community "none": invalid community format`},
			{"spec.communities[4].value", `parsing community "nested": invalid community format`}}},
		{name: "X4 in one object", obj: newCommunity("a", "x", "1:1", "x", "1:2"), want: []problem{
			{"spec.communities[1].name", `Duplicate value: "x": duplicate definition of community "x"`}}},
		{name: "X4 in two objects", obj: newCommunity("a", "no-export", "1:1"), want: []problem{
			{"spec.communities[0].name", `duplicate definition of community "no-export": Community "isp" defines it as 65535:65281`}}},
		{name: "its own names", old: c.Communities[0], obj: newCommunity("isp", "no-export", "1:1"), warnings: []string{
			`spec.communities[0].name: "no-export" is the well-known name of 65535:65281; where advertisements have it, they now mean 1:1`}},
		{name: "a well-known name as a value", obj: newCommunity("a", "guard", "no-export", "BLACKHOLE", "blackhole")},
		{name: "no name", obj: newCommunity("a", "", "1:1"), want: []problem{{"spec.communities[0].name", "Required"}}},
		{name: "a name that is a value", obj: newCommunity("a", "1:1", "1:2"), warnings: []string{
			`spec.communities[0].name: "1:1" contains ":", so advertisements take it for a value and cannot use the alias`}},
		{name: "an alias in use goes away", old: c.Communities[1], obj: newCommunity("ours", "other", "1:1"), warnings: []string{
			`no Community defines the alias "mine" any more, which BGPAdvertisement "web" uses: it announces nothing`}},
	})
}

func TestAliasThatNobodyDefinesWarns(t *testing.T) {
	adv := &metallb.BGPAdvertisement{ObjectMeta: named("web"), Spec: metallb.BGPAdvertisementSpec{Communities: []string{"gold", "1:1", "no-export", "NO_ADVERTISE"}}}
	run(t, nil, []verdict{{name: "before", obj: adv, warnings: []string{
		`spec.communities[0]: no Community defines the alias "gold" (yet): until then its routes are not sent`}}})
	run(t, &metallb.Configuration{Communities: []*metallb.Community{newCommunity("isp", "gold", "65535:65281")}}, []verdict{
		{name: "after", obj: adv}})
}

func TestAWellKnownNameThatIsNoAliasAnyMore(t *testing.T) {
	isp := newCommunity("isp", "blackhole", "65000:666")
	run(t, &metallb.Configuration{
		Communities:       []*metallb.Community{isp},
		BGPAdvertisements: []*metallb.BGPAdvertisement{{ObjectMeta: named("web"), Spec: metallb.BGPAdvertisementSpec{Communities: []string{"blackhole"}}}},
	}, []verdict{{name: "goes away", old: isp, obj: newCommunity("isp", "other", "1:1"), warnings: []string{
		`no Community defines the alias "blackhole" any more, which BGPAdvertisement "web" uses: there it is the well-known name of 65535:666`}}})
}
