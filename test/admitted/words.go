package admitted

import (
	"strconv"
	"strings"
)

// names of objects: few, so that they meet. The operator's object has one name alone.
var names = []string{"a", "b", "c", "metallb"}

// words are what fields hold, by the field's name on the wire: mostly what is right, and some that nearly is.
var words = map[string][]string{
	"addresses": {
		"10.0.0.0/24", "10.0.1.0/24", "10.0.2.10-10.0.2.20", "10.0.3.1 - 10.0.3.9", "10.0.4.77/28", "10.0.5.1/32",
		"2001:db8::/64", "2001:db8:1::1-2001:db8:1::ff", "2001:db8:2::/124", "192.168.7.0/25", "::ffff:10.0.6.0/120",
		"10.0.0.128-10.0.1.5", "0.0.0.0/0", "127.0.0.1/32", "224.0.0.0/8", "::/0", "10.0.0.1", "10.0.0.9-10.0.0.1",
		"10.0.0.1-2001:db8::1", "10.0.0.0/33", "fe80::1%eth0/64", "", "-", "/",
	},
	"communities":    {"65000:1", "65000:2", "large:65000:1:2", "no-export", "gold", "nobody", "1:2:3", "65536:1", "large:1:2:4294967296", ":", ""},
	"value":          {"65000:1", "65535:65281", "large:1:2:3", "1:65536", "x", ""},
	"name":           {"a", "b", "gold", "no-export", "bgp", "65000:1", ""},
	"namespaces":     {"default", "shop", "kube-system", ""},
	"ipAddressPools": {"a", "b", "c", "gone", ""},
	"peers":          {"a", "b", "c", "gone"},
	"interfaces":     {"eth0", "eth1", "bond0.100", "a-name-of-over-15", "eth0:1", "", "lo"},
	"interface":      {"", "", "eth1", "bad/name", "a-name-of-over-15"},
	"vrf":            {"", "", "red", "blue", "bad/name", "a-name-of-over-15"},
	"peerAddress":    {"192.0.2.1", "192.0.2.2", "2001:db8:ff::1", "::ffff:192.0.2.3", "169.254.1.1", "fe80::1", "fe80::1%eth0", "0.0.0.0", "224.0.0.1", "tor1", ""},
	"sourceAddress":  {"", "", "192.0.2.9", "2001:db8:ff::9", "::ffff:192.0.2.8", "fe80::9", "fe80::1%eth0", "::", "me"},
	"routerID":       {"", "", "10.9.9.9", "10.9.9.8", "0.0.0.0", "2001:db8::9", "::ffff:10.9.9.9", "id"},
	"holdTime":       {"90s", "3s", "10s", "1m30s", "0s", "0.5s", "1ns", "3.2s", "2.9s", "65535s", "65535.5s", "-1s", "90", "", "1h1h"},
	"keepaliveTime":  {"30s", "1s", "3s", "0s", "500ms", "1ns", "3.1s", "90s", "-1s", "x"},
	"connectTime":    {"10s", "1s", "65535s", "1.5s", "0s", "65536s", "soon"},
	"password":       {"", "", "secret", strings.Repeat("p", 80), strings.Repeat("p", 81), "pass\u0000word"},
	"dynamicASN":     {"", "", "internal", "external", "both"},
	"bfdProfile":     {"", "a", "b", "gone"},
	"protocol":       {"layer2", "bgp", "ospf", ""},
	"logLevel":       {"", "info", "debug", "loud"},
	"key":            {"rack", "kubernetes.io/hostname", "app", "zone", "not a key", ""},
	"operator":       {"In", "NotIn", "Exists", "DoesNotExist", "Near"},
	"values":         {"a", "b", "web", "not a value!", ""},
	"matchLabels":    {"a", "b", "web", "not a value!"},
	"labels":         {"a", "b", "web"},
	"annotations":    {"true", `"red"`, "{", strings.Repeat("x", 100)},
}

// keys are those of maps, by the map's name on the wire.
var keys = map[string][]string{
	"matchLabels": {"rack", "app", "zone", "kubernetes.io/hostname", "not a key"},
	"labels":      {"rack", "app", "zone"},
	"annotations": {"note", "ingot.io/deletion-protection", "v1beta2.ingot.io/vrf", "v1beta2.ingot.io/passwordSecret", "v1beta2.ingot.io/nothing"},
}

// odd are values that no field expects.
var odd = []any{
	"", "x", "\x00", "\u202e\ufeff", "1e400", "null", strings.Repeat("long", 100), nil, true, -1, 1 << 40, 1.5, []any{}, []any{nil},
	map[string]any{}, map[string]any{"x": []any{map[string]any{"": nil}}},
}

// numbers are at and about the bounds of everything that is a number.
var numbers = []int64{
	0, 1, 2, 3, 9, 10, 24, 28, 32, 33, 64, 100, 101, 128, 129, 179, 254, 255, 256, 300, 16384, 16385, 60000, 60001, 64512, 65000, 65535, 65536,
	1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, -1, -1 << 31, -1 << 63,
}

// usual are the numbers that fields mostly have.
var usual = map[string][]int64{
	"myASN":               {64512, 64512, 64513, 4200000000},
	"peerASN":             {64600, 64601, 64512, 0},
	"localASN":            {0, 64999},
	"peerPort":            {179, 1790, 0},
	"aggregationLength":   {32, 32, 24, 28},
	"aggregationLengthV6": {128, 128, 64, 124},
	"localPref":           {0, 100, 200},
	"med":                 {0, 50},
	"asPathPrepend":       {0, 3},
	"weight":              {1, 50, 100},
	"receiveInterval":     {10, 300, 60000},
	"transmitInterval":    {10, 300, 60000},
	"detectMultiplier":    {2, 3, 255},
	"echoInterval":        {10, 50, 60000},
	"minimumTtl":          {1, 254},
	"priority":            {0, 1, 100, -5},
}

// word is a string for a field.
func (c *Choices) word(field string) string {
	list := words[field]
	switch {
	case len(list) == 0:
		return pick(c, names)
	case c.Once(40):
		return string(rune('a'+c.N(26))) + strconv.Itoa(c.N(1000))
	case c.Once(3):
		return pick(c, list)
	}
	return list[c.N((len(list)+1)/2)] // what is right stands first
}

// number is an integer for a field.
func (c *Choices) number(field string) int64 {
	if list := usual[field]; len(list) > 0 && !c.Once(8) {
		return pick(c, list)
	}
	return pick(c, numbers)
}
