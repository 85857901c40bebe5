// Package show prints what a speaker holds and does, asked over its unix socket, for people in a terminal.
package show

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// timeout bounds one question.
const timeout = 10 * time.Second

// Client asks one speaker.
type Client struct {
	speaker ingotv1.SpeakerServiceClient
	conn    *grpc.ClientConn
	// now is what ages are counted to.
	now func() time.Time
}

// Dial returns a client of the speaker that serves the unix socket at path.
func Dial(path string) (*Client, error) {
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("speaker at %s: %w", path, err)
	}
	return &Client{speaker: ingotv1.NewSpeakerServiceClient(conn), conn: conn, now: time.Now}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Named returns what prints the things of a name of our own, in a table or in JSON.
func (c *Client) Named(name string, inJSON bool) (print func(context.Context, io.Writer) error, ok bool) {
	tables := map[string]func(context.Context, io.Writer) error{
		"state": c.State, "sessions": c.Sessions, "announcements": c.Announcements,
		"layer2": c.Layer2, "links": c.Links, "segments": c.Segments, "neighbors": c.Neighbors,
	}
	if !inJSON {
		print, ok = tables[name]
		return print, ok
	}
	neighbors := func(ctx context.Context) (proto.Message, error) {
		return c.speaker.ListNeighbors(ctx, &ingotv1.ListNeighborsRequest{})
	}
	answers := map[string]func(context.Context) (proto.Message, error){
		"links": neighbors, "segments": neighbors, "neighbors": neighbors,
		"layer2": func(ctx context.Context) (proto.Message, error) {
			return c.speaker.ListLayer2(ctx, &ingotv1.ListLayer2Request{})
		},
		"state": func(ctx context.Context) (proto.Message, error) {
			return c.speaker.GetState(ctx, &ingotv1.GetStateRequest{})
		},
		"sessions": func(ctx context.Context) (proto.Message, error) {
			return c.speaker.ListSessions(ctx, &ingotv1.ListSessionsRequest{})
		},
		"announcements": func(ctx context.Context) (proto.Message, error) {
			return c.speaker.ListAnnouncements(ctx, &ingotv1.ListAnnouncementsRequest{})
		},
	}
	ask, ok := answers[name]
	return func(ctx context.Context, w io.Writer) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		answer, err := ask(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(w, protojson.MarshalOptions{Multiline: true, EmitUnpopulated: true}.Format(answer))
		return err
	}, ok
}

// State prints who the speaker is and whom it obeys.
func (c *Client) State(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := c.speaker.GetState(ctx, &ingotv1.GetStateRequest{})
	if err != nil {
		return err
	}
	t := newTable(w)
	t.row("Node:", s.GetNode())
	t.row("Version:", s.GetVersion())
	t.row("Running for:", c.age(s.GetStarted().AsTime()))
	t.row("Lineage:", orNone(s.GetLineage()))
	t.row("Epoch:", strconv.FormatUint(s.GetEpoch(), 10))
	t.row("Revision:", strconv.FormatInt(s.GetRevision(), 10))
	for _, kind := range slices.Sorted(maps.Keys(s.GetItems())) {
		t.row("Items "+kind+":", strconv.FormatUint(uint64(s.GetItems()[kind]), 10))
	}
	t.row("Refusing:", orNone(s.GetRefusing()))
	t.row("Log level:", c.logLevel(s.GetLogLevel()))
	if err := t.flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	t.row("ENDPOINT", "REPLICA", "CONNECTED", "LEADING", "FOR", "LINEAGE", "LAST ERROR")
	for _, st := range s.GetStreams() {
		t.row(st.GetEndpoint(), orNone(st.GetReplica()), yesNo(st.GetConnected()), yesNo(st.GetLeading()),
			c.age(st.GetSince().AsTime()), orNone(st.GetLineage()), orNone(st.GetLastError()))
	}
	return t.flush()
}

// logLevel is the level in force, who said so, and for how long.
func (c *Client) logLevel(l *ingotv1.LogLevel) string {
	if l == nil { // a speaker of an earlier version
		return orNone("")
	}
	said := l.GetLevel() + " (" + l.GetBy()
	if until := l.GetUntil(); until != nil {
		said += ", for " + until.AsTime().Sub(c.now()).Truncate(time.Second).String()
	}
	return said + ")"
}

// Sessions prints the BGP sessions.
func (c *Client) Sessions(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.speaker.ListSessions(ctx, &ingotv1.ListSessionsRequest{})
	if err != nil {
		return err
	}
	t := newTable(w)
	t.row("PEER", "ADDRESS", "VRF", "STATE", "FOR", "ADVERTISED", "LAST ERROR")
	for _, s := range resp.GetSessions() {
		since := "-"
		if s.GetSinceMs() != 0 {
			since = c.age(time.UnixMilli(s.GetSinceMs()))
		}
		t.row(s.GetPeer(), s.GetAddress(), orNone(s.GetVrf()), s.GetState(), since,
			strconv.FormatUint(uint64(s.GetAdvertised()), 10), orNone(s.GetLastError()))
	}
	return t.flush()
}

// Announcements prints the prefixes and addresses that the node announces.
func (c *Client) Announcements(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.speaker.ListAnnouncements(ctx, &ingotv1.ListAnnouncementsRequest{})
	if err != nil {
		return err
	}
	t := newTable(w)
	t.row("PROTOCOL", "TARGET", "STATUS", "SERVICES", "TO", "REASON")
	for _, a := range resp.GetAnnouncements() {
		var services []string
		for _, s := range a.GetServices() {
			services = append(services, s.GetNamespace()+"/"+s.GetName())
		}
		t.row(a.GetProtocol(), a.GetTarget(),
			strings.ToLower(strings.TrimPrefix(a.GetStatus().String(), "STATUS_")),
			orNone(strings.Join(services, ",")),
			orNone(strings.Join(append(a.GetPeers(), a.GetInterfaces()...), ",")),
			orNone(a.GetReason()))
	}
	return t.flush()
}

func (c *Client) age(t time.Time) string { return c.now().Sub(t).Truncate(time.Second).String() }

// table aligns columns.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)} }

// row adds one line; flush reports what went wrong.
func (t table) row(cells ...string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

func (t table) flush() error { return t.w.Flush() }

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
