package l2

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/speaker/links"
)

func TestAllowedLinks(t *testing.T) {
	all := []links.Link{{Name: "eth0"}, {Name: "eth1", Unfit: "is down"}, {Name: "eth2"}}
	tests := map[string]struct {
		interfaces []string
		want       []string
		why        string
	}{
		"all":          {nil, []string{"eth0", "eth2"}, ""},
		"listed":       {[]string{"eth2", "eth9"}, []string{"eth2"}, ""},
		"none is left": {[]string{"eth1", "eth9"}, nil, "interface eth1 is down; interface eth9 does not exist on this node, or is excluded"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := allowed(tt.interfaces, all)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("allowed (-want +got):\n%s", diff)
			}
			if tt.why != "" && whyNone(vip, tt.interfaces, all) != tt.why {
				t.Errorf("got %q, want %q", whyNone(vip, tt.interfaces, all), tt.why)
			}
		})
	}
}
