package plan

import (
	"fmt"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// TestTooManyCommunitiesTogether: each advertisement has as many as a message has room for, which the rules see to; of
// two of them for one route the planner says that they cannot be sent together, and sends neither.
func TestTooManyCommunitiesTogether(t *testing.T) {
	f := newFixture("node-a")
	f.pool("p", "10.20.30.0/24")
	f.pool("q", "10.20.40.0/24")
	f.peer("tor1", "172.20.0.1")
	f.service("web", "10.20.30.1")
	f.service("db", "10.20.40.1")
	for _, side := range []int{1, 2} {
		f.bgp(fmt.Sprint("ad-", side), func(s *metallb.BGPAdvertisementSpec) {
			s.IPAddressPools = []string{"p"}
			for i := range 500 {
				s.Communities = append(s.Communities, fmt.Sprintf("%d:%d", side, i))
			}
		})
	}
	f.bgp("ad-q", func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPools = []string{"q"} })

	out := Plan(f.Input)

	diff(t, "reasons", []string{"Service web bgp tooManyCommunities"}, reasons(out))
	diff(t, "routes", map[string][]string{"node-a": {"10.20.40.1/32 to tor1 for db"}}, routes(out))
}
