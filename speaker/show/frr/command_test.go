package frr

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommandsAreReadAsVtyshReadsThem(t *testing.T) {
	for line, want := range map[string]Command{
		"show running-config":                            {what: runningConfig},
		"sh run":                                         {what: runningConfig},
		"show bgp summary":                               {what: summary},
		"sh bg su json":                                  {what: summary, json: true},
		"show ip bgp summary":                            {what: summary, family: ipv4},
		"show bgp ipv4 unicast summary":                  {what: summary, family: ipv4},
		"show bgp ipv6 summary":                          {what: summary, family: ipv6},
		"show bgp vrf all summary":                       {what: summary, vrf: "all"},
		"show bgp vrf red ipv4 unicast summary json":     {what: summary, vrf: "red", family: ipv4, json: true},
		"show bgp neighbor":                              {what: neighbors},
		"show bgp neigh":                                 {what: neighbors},
		"show bgp neighbors 192.0.2.1":                   {what: neighbors, peer: "192.0.2.1"},
		"show bgp vrf red neighbors 192.0.2.1 json":      {what: neighbors, vrf: "red", peer: "192.0.2.1", json: true},
		"show bgp neighbors eth1":                        {what: neighbors, peer: "eth1"},
		"show ip bgp neighbors 192.0.2.1 advertised":     {what: advertised, family: ipv4, peer: "192.0.2.1"},
		"show bgp ipv4":                                  {what: table, family: ipv4},
		"show bgp ipv6":                                  {what: table, family: ipv6},
		"show ip bgp":                                    {what: table, family: ipv4},
		"show bgp json":                                  {what: table, json: true},
		"show bgp ipv4 unicast 203.0.113.200/30":         {what: table, family: ipv4, prefix: "203.0.113.200/30"},
		"show bgp ipv6 unicast fc00:f853:ccd:e799::/124": {what: table, family: ipv6, prefix: "fc00:f853:ccd:e799::/124"},
		"show  ip   bgp 203.0.113.201":                   {what: table, family: ipv4, prefix: "203.0.113.201"},
		"show bgp ipv4 uni 203.0.113.200/30 json":        {what: table, family: ipv4, prefix: "203.0.113.200/30", json: true},
		"show bfd peers":                                 {what: bfdPeers, vrf: allVRFs},
		"show bfd peer":                                  {what: bfdPeers, vrf: allVRFs},
		"show bfd peers brief":                           {what: bfdBrief, vrf: allVRFs},
		"show bfd peers counters json":                   {what: bfdCounters, vrf: allVRFs, json: true},
		"show bfd peer 192.0.2.1 json":                   {what: bfdPeers, vrf: allVRFs, peer: "192.0.2.1", json: true},
		"show bfd vrf red peers brief":                   {what: bfdBrief, vrf: "red"},
		"show version":                                   {what: version},
		"terminal length 0":                              {},
		"enable":                                         {},
	} {
		got, err := Parse(line)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Command{})); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", line, err, diff)
		}
	}
	for line, want := range map[string]string{
		"":                             "% Unknown command: ",
		"show b":                       "% Ambiguous command: show b",
		"show nonsense":                "% Unknown command: show nonsense",
		"show bgp summary nonsense":    "% Unknown command: show bgp summary nonsense",
		"show bgp ipv4 2001:db8::/64":  "% Unknown command: show bgp ipv4 2001:db8::/64",
		"show bgp vrf":                 "% Command incomplete: show bgp vrf",
		"show bgp ipv4 203.0.113.0/40": "% Unknown command: show bgp ipv4 203.0.113.0/40",
		"configure terminal":           "% Unknown command: configure terminal",
	} {
		if c, err := Parse(line); err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v; want %q", line, c, err, want)
		}
	}
}

// FuzzParse: no line makes it fall.
func FuzzParse(f *testing.F) {
	f.Add("show bgp vrf red ipv4 unicast 203.0.113.0/24 json")
	f.Fuzz(func(t *testing.T, line string) {
		c, err := Parse(line)
		if err != nil {
			return
		}
		if text, _ := c.answer(&Facts{}); c.what != nothing && text == "" && c.what != neighbors {
			t.Errorf("%q is understood, and not answered", line)
		}
	})
}
