package introspect

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const (
	// defaultDrain is how long sessions are out of service when nobody says how long; maxDrain is the most.
	defaultDrain, maxDrain = 10 * time.Minute, 24 * time.Hour
)

func (s *service) Drain(_ context.Context, req *ingotv1.DrainRequest) (*ingotv1.DrainResponse, error) {
	if s.readOnly {
		return nil, status.Error(codes.PermissionDenied, "sessions can be drained on the unix socket only")
	}
	length := defaultDrain
	if req.GetDuration() != nil {
		if err := req.GetDuration().CheckValid(); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "duration: %v", err)
		}
		length = req.GetDuration().AsDuration()
	}
	if length < 0 || length > maxDrain {
		return nil, status.Errorf(codes.InvalidArgument, "duration: %s is outside 0s to %s", length, maxDrain)
	}
	until := time.Now().Add(length)
	s.opts.Log.Warn("BGP sessions are drained for a while, on demand", "event", "drain", "until", until)
	s.opts.Drain(until)
	return &ingotv1.DrainResponse{Until: timestamppb.New(until)}, nil
}
