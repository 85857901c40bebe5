package introspect

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// service implements SpeakerService on one listener.
type service struct {
	ingotv1.UnimplementedSpeakerServiceServer
	opts     Options
	readOnly bool
}

func (s *service) GetState(context.Context, *ingotv1.GetStateRequest) (*ingotv1.GetStateResponse, error) {
	state := s.opts.Source.State()
	name, by, until := s.opts.Level.InForce()
	state.LogLevel = &ingotv1.LogLevel{Level: name, By: by}
	if !until.IsZero() {
		state.LogLevel.Until = timestamppb.New(until)
	}
	return state, nil
}

func (s *service) ListSessions(context.Context, *ingotv1.ListSessionsRequest) (*ingotv1.ListSessionsResponse, error) {
	return &ingotv1.ListSessionsResponse{Sessions: s.opts.Source.Observations().GetSessions()}, nil
}

func (s *service) ListBfdSessions(context.Context, *ingotv1.ListBfdSessionsRequest) (*ingotv1.ListBfdSessionsResponse, error) {
	seen := s.opts.Source.Observations()
	return &ingotv1.ListBfdSessionsResponse{Sessions: slices.Concat(seen.GetBfd(), nodePairs(seen.GetSegments()))}, nil
}

// nodePairs are the BFD sessions with other nodes.
func nodePairs(segments []*ingotv1.SegmentReport) (sessions []*ingotv1.BfdReport) {
	for _, seg := range segments {
		for _, p := range seg.GetPeers() {
			if p.GetBfdState() != "" {
				sessions = append(sessions, &ingotv1.BfdReport{Peer: "node/" + p.GetNode(), Address: p.GetAddress(), Interface: seg.GetInterface(),
					State: p.GetBfdState(), SinceMs: p.GetBfdSinceMs()})
			}
		}
	}
	return sessions
}

func (s *service) ListLayer2(context.Context, *ingotv1.ListLayer2Request) (*ingotv1.ListLayer2Response, error) {
	return &ingotv1.ListLayer2Response{Addresses: s.opts.Source.Layer2()}, nil
}

func (s *service) ListAnnouncements(context.Context, *ingotv1.ListAnnouncementsRequest) (*ingotv1.ListAnnouncementsResponse, error) {
	return &ingotv1.ListAnnouncementsResponse{Announcements: s.opts.Source.Announcements()}, nil
}

func (s *service) ListNeighbors(context.Context, *ingotv1.ListNeighborsRequest) (*ingotv1.ListNeighborsResponse, error) {
	seen := s.opts.Source.Observations()
	return &ingotv1.ListNeighborsResponse{Links: seen.GetLinks(), Segments: seen.GetSegments(), Neighbors: s.opts.Source.Neighbors()}, nil
}

func (s *service) WatchEvents(req *ingotv1.WatchEventsRequest, stream ingotv1.SpeakerService_WatchEventsServer) error {
	events, stop, err := s.opts.Events.Watch(req.GetAtLogLevel())
	if err != nil {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	defer stop()
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case e, ok := <-events:
			if !ok {
				return status.Error(codes.ResourceExhausted, "this watcher was too slow; watch again")
			}
			if err := stream.Send(e); err != nil {
				return err
			}
		}
	}
}

// defaultLevelTime is how long a changed log level stays by default.
const defaultLevelTime = 10 * time.Minute

func (s *service) SetLogLevel(_ context.Context, req *ingotv1.SetLogLevelRequest) (*ingotv1.SetLogLevelResponse, error) {
	if s.readOnly {
		return nil, status.Error(codes.PermissionDenied, "the log level can be changed on the unix socket only")
	}
	d := defaultLevelTime
	if req.GetDuration() != nil {
		if err := req.GetDuration().CheckValid(); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "duration: %v", err)
		}
		d = req.GetDuration().AsDuration()
	}
	previous, until, err := s.opts.Level.Limit(req.GetLevel(), d, time.Now())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &ingotv1.SetLogLevelResponse{Previous: previous, Until: timestamppb.New(until)}, nil
}

var errTooManyWatchers = errors.New("too many watchers")
