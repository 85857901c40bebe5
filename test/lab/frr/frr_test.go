package frr

import (
	"net/netip"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	lan := []netip.Prefix{netip.MustParsePrefix("192.168.222.1/24"), netip.MustParsePrefix("fd00:222::1/64")}
	config := Config("bgpd", lan[0].Addr(), lan)
	for _, want := range []string{
		"router bgp 64501\n",
		" bgp router-id 192.168.222.1\n",
		" bgp listen range 192.168.222.0/24 peer-group nodes\n",
		" bgp listen range fd00:222::/64 peer-group nodes-v6\n",
		" neighbor nodes-v6 capability extended-nexthop\n",
	} {
		if !strings.Contains(config, want) {
			t.Errorf("bgpd's configuration lacks %q:\n%s", want, config)
		}
	}
	if n := strings.Count(config, "maximum-paths 16"); n != 2 {
		t.Errorf("equal routes are used in %d families, want 2:\n%s", n, config)
	}
	if strings.Contains(Config("zebra", lan[0].Addr(), lan), "router bgp") {
		t.Error("zebra is given lines that only bgpd knows")
	}
}
