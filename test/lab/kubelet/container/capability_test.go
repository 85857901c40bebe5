package container

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestCapabilityNumbers(t *testing.T) {
	for name, want := range map[string]uintptr{
		"CHOWN": unix.CAP_CHOWN, "NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_NET_RAW": unix.CAP_NET_RAW, "sys_admin": unix.CAP_SYS_ADMIN,
		"SETFCAP": unix.CAP_SETFCAP, "CHECKPOINT_RESTORE": unix.CAP_CHECKPOINT_RESTORE,
	} {
		if got, ok := Capability(name); !ok || got != want {
			t.Errorf("%s = %d, %v, want %d", name, got, ok, want)
		}
	}
	if len(capabilities) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d capabilities, Linux has %d", len(capabilities), unix.CAP_LAST_CAP+1)
	}
	if _, ok := Capability("FLY"); ok {
		t.Error("there is a capability FLY")
	}
}

func TestCapabilities(t *testing.T) {
	for _, c := range []struct{ add, drop, want []string }{
		{nil, nil, usual},
		{nil, []string{"ALL"}, nil},
		{[]string{"NET_ADMIN", "CAP_NET_RAW"}, []string{"ALL"}, []string{"NET_ADMIN", "NET_RAW"}},
		{[]string{"SYS_TIME"}, []string{"net_raw"}, append(slices.DeleteFunc(slices.Clone(usual), func(s string) bool { return s == "NET_RAW" }), "SYS_TIME")},
		{[]string{"ALL"}, nil, capabilities},
	} {
		if diff := cmp.Diff(c.want, Capabilities(c.add, c.drop)); diff != "" {
			t.Errorf("+%v -%v (-want +got)\n%s", c.add, c.drop, diff)
		}
	}
}
