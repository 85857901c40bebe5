package introspect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

func TestRunningConfigAndRoutes(t *testing.T) {
	s := serve(t)
	c := ingotv1.NewSpeakerServiceClient(s.tcp)
	config, err := c.GetRunningConfig(t.Context(), &ingotv1.GetRunningConfigRequest{})
	check(t, err)
	if text := config.GetText(); !strings.Contains(text, " neighbor 192.0.2.1 remote-as 64501\n") || !strings.Contains(text, "password <retracted>") || len(config.GetRoutes()) != 3 {
		t.Errorf("running config: %s", config)
	}
	for _, test := range []struct {
		ask  *ingotv1.ListRoutesRequest
		want []string
	}{
		{&ingotv1.ListRoutesRequest{}, []string{"198.51.100.0/24", "198.51.100.7/32", "2001:db8::/64"}},
		{&ingotv1.ListRoutesRequest{Family: ingotv1.Family_FAMILY_IPV6_UNICAST}, []string{"2001:db8::/64"}},
		{&ingotv1.ListRoutesRequest{Prefix: "198.51.100.0/24"}, []string{"198.51.100.0/24"}},
		{&ingotv1.ListRoutesRequest{Prefix: "198.51.100.7"}, []string{"198.51.100.7/32"}},
		{&ingotv1.ListRoutesRequest{Prefix: "198.51.100.8"}, []string{"198.51.100.0/24"}},
		{&ingotv1.ListRoutesRequest{Prefix: "198.51.100.0/25"}, nil},
	} {
		answer, err := c.ListRoutes(t.Context(), test.ask)
		check(t, err)
		var got []string
		for _, r := range answer.GetRoutes() {
			got = append(got, r.GetRoute().GetPrefix())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.ask, diff)
		}
	}
	if _, err := c.ListRoutes(t.Context(), &ingotv1.ListRoutesRequest{Prefix: "nonsense"}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("nonsense: %v", err)
	}
}
