package show

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

var now = time.Unix(1_000_000, 0)

// speaker answers as a small node would.
type speaker struct {
	ingotv1.UnimplementedSpeakerServiceServer
}

func (speaker) GetState(context.Context, *ingotv1.GetStateRequest) (*ingotv1.GetStateResponse, error) {
	return &ingotv1.GetStateResponse{
		Node: "node1", Version: "v1", Started: timestamppb.New(now.Add(-time.Hour)), Lineage: "L", Epoch: 5, Revision: 9,
		Items:    map[string]uint32{"bgp_session": 1, "bgp_route": 2},
		LogLevel: &ingotv1.LogLevel{Level: "debug", By: "request", Until: timestamppb.New(now.Add(4 * time.Minute))},
		Streams: []*ingotv1.StreamState{
			{Endpoint: "192.0.2.1:7473", Connected: true, Leading: true, Replica: "a", Since: timestamppb.New(now.Add(-time.Minute)), Lineage: "L"},
			{Endpoint: "192.0.2.2:7473", Since: timestamppb.New(now), LastError: "connection refused"},
		},
	}, nil
}

func (speaker) ListSessions(context.Context, *ingotv1.ListSessionsRequest) (*ingotv1.ListSessionsResponse, error) {
	return &ingotv1.ListSessionsResponse{Sessions: []*ingotv1.SessionReport{
		{Peer: "tor1", Address: "192.0.2.3", State: "Established", SinceMs: now.Add(-90 * time.Second).UnixMilli(), Advertised: 2},
		{Peer: "tor2", Address: "192.0.2.4", State: "Active", LastError: "hold timer expired"},
	}}, nil
}

func (speaker) ListAnnouncements(context.Context, *ingotv1.ListAnnouncementsRequest) (*ingotv1.ListAnnouncementsResponse, error) {
	return &ingotv1.ListAnnouncementsResponse{Announcements: []*ingotv1.Announcement{
		{Protocol: "bgp", Target: "198.51.100.1/32", Status: ingotv1.ItemResult_STATUS_APPLIED, Peers: []string{"tor1", "tor2"},
			Services: []*ingotv1.ServiceRef{{Namespace: "default", Name: "web"}}},
		{Protocol: "layer2", Target: "192.0.2.9", Status: ingotv1.ItemResult_STATUS_PENDING, Reason: "no interface"},
	}}, nil
}

func (speaker) ListLayer2(context.Context, *ingotv1.ListLayer2Request) (*ingotv1.ListLayer2Response, error) {
	return &ingotv1.ListLayer2Response{Addresses: []*ingotv1.Layer2State{
		{Order: &ingotv1.Layer2Address{Address: "192.0.2.9", Role: ingotv1.Layer2Address_ROLE_OWNER, Term: 3, Owner: "node1", Standbys: []string{"node2", "node3"},
			Services: []*ingotv1.ServiceRef{{Namespace: "default", Name: "web"}}},
			Report: &ingotv1.Layer2Report{Address: "192.0.2.9", Term: 4, Answering: true, Phase: "Answering", Interfaces: []string{"eth1"}, Taken: true,
				SinceMs: now.Add(-time.Minute).UnixMilli(), Rival: &ingotv1.Layer2Rival{Interface: "eth1", Mac: "52:54:00:00:00:99"}}},
		{Order: &ingotv1.Layer2Address{Address: "2001:db8::9", Role: ingotv1.Layer2Address_ROLE_STANDBY, Term: 1, Owner: "node2"}},
	}}, nil
}

func (speaker) ListNeighbors(context.Context, *ingotv1.ListNeighborsRequest) (*ingotv1.ListNeighborsResponse, error) {
	ago := now.Add(-time.Minute).UnixMilli()
	return &ingotv1.ListNeighborsResponse{
		Links: []*ingotv1.LinkReport{
			{Name: "eth1", Mac: "52:54:00:00:00:01", Up: true, Enabled: true, Carrier: true, Addresses: []string{"192.0.2.11/24"}, SinceMs: ago},
			{Name: "eth0", Mac: "52:54:00:00:00:02", Enabled: true, Master: "br0", Unfit: "belongs to br0"},
		},
		Segments: []*ingotv1.SegmentReport{{Interface: "eth1",
			Peers:     []*ingotv1.SegmentPeerReport{{Node: "node2", Address: "192.0.2.12", Answer: ingotv1.Answer_ANSWER_ANSWERS, SinceMs: ago, Heard: true, BfdState: "Up", BfdSinceMs: ago}},
			Witnesses: []*ingotv1.WitnessReport{{Address: "192.0.2.1", Mac: "52:54:00:00:00:03", Answer: ingotv1.Answer_ANSWER_SILENT, Source: ingotv1.WitnessReport_SOURCE_NEXT_HOP}}}},
		Neighbors: []*ingotv1.Neighbor{{Interface: "eth1", Address: "192.0.2.100", Mac: "52:54:00:00:00:04", LastSeen: timestamppb.New(now.Add(-time.Second))}},
	}, nil
}

func TestTables(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	ingotv1.RegisterSpeakerServiceServer(server, speaker{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	c, err := Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.now = func() time.Time { return now }

	var got bytes.Buffer
	for _, print := range []func(context.Context, *bytes.Buffer) error{
		func(ctx context.Context, b *bytes.Buffer) error { return c.State(ctx, b) },
		func(ctx context.Context, b *bytes.Buffer) error { return c.Sessions(ctx, b) },
		func(ctx context.Context, b *bytes.Buffer) error { return c.Announcements(ctx, b) },
		func(ctx context.Context, b *bytes.Buffer) error { return c.Layer2(ctx, b) },
		func(ctx context.Context, b *bytes.Buffer) error { return c.Links(ctx, b) },
		func(ctx context.Context, b *bytes.Buffer) error { return c.Segments(ctx, b) },
		func(ctx context.Context, b *bytes.Buffer) error { return c.Neighbors(ctx, b) },
	} {
		if err := print(t.Context(), &got); err != nil {
			t.Fatal(err)
		}
	}
	want := `Node:               node1
Version:            v1
Running for:        1h0m0s
Lineage:            L
Epoch:              5
Revision:           9
Items bgp_route:    2
Items bgp_session:  1
Refusing:           -
Log level:          debug (request, for 4m0s)

ENDPOINT        REPLICA  CONNECTED  LEADING  FOR   LINEAGE  LAST ERROR
192.0.2.1:7473  a        yes        yes      1m0s  L        -
192.0.2.2:7473  -        no         no       0s    -        connection refused
PEER  ADDRESS    VRF  STATE        FOR    ADVERTISED  LAST ERROR
tor1  192.0.2.3  -    Established  1m30s  2           -
tor2  192.0.2.4  -    Active       -      0           hold timer expired
PROTOCOL  TARGET           STATUS   SERVICES     TO         REASON
bgp       198.51.100.1/32  applied  default/web  tor1,tor2  -
layer2    192.0.2.9        pending  -            -          no interface
ADDRESS      ROLE     PHASE                   TERM  FOR   INTERFACES  OWNER  STANDBYS     SERVICES     RIVAL                      REASON
192.0.2.9    owner    Answering (taken over)  4     1m0s  eth1        node1  node2,node3  default/web  52:54:00:00:00:99 on eth1  -
2001:db8::9  standby  -                       1     -     -           node2  -            -            -                          -
INTERFACE  MAC                STATE       FOR   MASTER  ADDRESSES      NEXT HOPS  NOT FOR LAYER 2
eth0       52:54:00:00:00:02  no carrier  -     br0     -              -          belongs to br0
eth1       52:54:00:00:00:01  up          1m0s  -       192.0.2.11/24  -          -
INTERFACE  WHO                 ADDRESS     MAC                ANSWER   FOR   HEARD  BFD  FOR
eth1       node node2          192.0.2.12  -                  answers  1m0s  yes    Up   1m0s
eth1       witness (next hop)  192.0.2.1   52:54:00:00:00:03  silent   -     -      -    -
INTERFACE  ADDRESS      MAC                ASKED AGO
eth1       192.0.2.100  52:54:00:00:00:04  1s
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}
