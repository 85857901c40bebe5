package unnumbered

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/ipv6"
)

var (
	router = netip.MustParseAddr("fe80::1")
	mac    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
)

func TestOwnMessagesAreValid(t *testing.T) {
	for _, hardware := range []net.HardwareAddr{mac, nil} {
		if kind, err := check(solicitation(hardware), router, 255); err != nil || kind != ipv6.ICMPTypeRouterSolicitation {
			t.Errorf("solicitation: %v, %v", kind, err)
		}
		b := advertisement(hardware)
		if kind, err := check(b, router, 255); err != nil || kind != ipv6.ICMPTypeRouterAdvertisement {
			t.Errorf("advertisement: %v, %v", kind, err)
		}
		if b[6] != 0 || b[7] != 0 {
			t.Errorf("router lifetime %v, want 0: nobody shall route through a node", b[6:8])
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	good := advertisement(mac)
	change := func(at int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = to
		return b
	}
	tests := map[string]struct {
		message []byte
		from    string
		limit   int
		want    string
	}{
		"nothing":                     {nil, "fe80::1", 255, "too few"},
		"from beyond the link":        {good, "fe80::1", 254, "hop limit 254"},
		"from a global address":       {good, "2001:db8::1", 255, "not link-local"},
		"of another type":             {change(0, 136), "fe80::1", 255, "not about routers"},
		"with a code":                 {change(1, 1), "fe80::1", 255, "code 1"},
		"cut short":                   {good[:15], "fe80::1", 255, "too few"},
		"an option without length":    {change(17, 0), "fe80::1", 255, "an option"},
		"an option that is too long":  {change(17, 2), "fe80::1", 255, "an option"},
		"half an option":              {good[:17], "fe80::1", 255, "an option"},
		"an option cut in the middle": {good[:20], "fe80::1", 255, "an option"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := check(tt.message, netip.MustParseAddr(tt.from), tt.limit); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(advertisement(mac), 255)
	f.Add(solicitation(mac), 255)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		kind, err := check(b, router, limit)
		if err == nil && (limit != 255 || len(b) < 8 || b[0] != byte(kind) || b[1] != 0) {
			t.Errorf("accepted % x with hop limit %d as %v", b, limit, kind)
		}
	})
}
