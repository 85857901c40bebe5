package introspect

import (
	"context"
	"net/netip"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
	"github.com/ingot-lb/ingot/speaker/show/frr"
)

func (s *service) GetRunningConfig(context.Context, *ingotv1.GetRunningConfigRequest) (*ingotv1.GetRunningConfigResponse, error) {
	sessions, protected := s.opts.Source.Sessions()
	state, routes := s.opts.Source.State(), s.opts.Source.Routes()
	out := &ingotv1.GetRunningConfigResponse{Sessions: sessions, Protected: protected}
	for _, r := range routes {
		out.Routes = append(out.Routes, r.GetRoute())
	}
	facts := frr.Facts{Node: state.GetNode(), Version: state.GetVersion(), Now: time.Now(), Configured: sessions, Protected: protected,
		Sessions: s.opts.Source.Observations().GetSessions(), Routes: routes}
	out.Text = facts.RunningConfig()
	return out, nil
}

func (s *service) ListRoutes(_ context.Context, req *ingotv1.ListRoutesRequest) (*ingotv1.ListRoutesResponse, error) {
	var wanted []*ingotv1.Route
	for _, r := range s.opts.Source.Routes() {
		p, err := netip.ParsePrefix(r.GetRoute().GetPrefix())
		if err != nil {
			continue // it is refused by whoever announces
		}
		if f := req.GetFamily(); f != 0 && (f == ingotv1.Family_FAMILY_IPV6_UNICAST) != p.Addr().Is6() {
			continue
		}
		wanted = append(wanted, r)
	}
	if asked := req.GetPrefix(); asked != "" {
		if !frr.IsPrefix(asked) {
			return nil, status.Errorf(codes.InvalidArgument, "%q is neither a prefix nor an address", asked)
		}
		one := frr.Find(wanted, asked)
		if one == nil {
			return &ingotv1.ListRoutesResponse{}, nil
		}
		wanted = []*ingotv1.Route{one}
	}
	return &ingotv1.ListRoutesResponse{Routes: wanted}, nil
}
