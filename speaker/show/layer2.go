package show

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// Layer2 prints the layer-2 addresses that the node owns or stands by for.
func (c *Client) Layer2(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.speaker.ListLayer2(ctx, &ingotv1.ListLayer2Request{})
	if err != nil {
		return err
	}
	t := newTable(w)
	t.row("ADDRESS", "ROLE", "PHASE", "TERM", "FOR", "INTERFACES", "OWNER", "STANDBYS", "SERVICES", "RIVAL", "REASON")
	for _, a := range resp.GetAddresses() {
		order, r := a.GetOrder(), a.GetReport()
		var services []string
		for _, s := range order.GetServices() {
			services = append(services, s.GetNamespace()+"/"+s.GetName())
		}
		term := order.GetTerm()
		if r != nil {
			term = r.GetTerm()
		}
		phase := r.GetPhase()
		if r.GetTaken() {
			phase += " (taken over)"
		}
		t.row(order.GetAddress(), word(order.GetRole().String(), "ROLE_"), orNone(phase), strconv.FormatUint(term, 10), c.since(r.GetSinceMs()),
			list(r.GetInterfaces()), orNone(order.GetOwner()), list(order.GetStandbys()), list(services), rival(r.GetRival()), orNone(r.GetReason()))
	}
	return t.flush()
}

// Links prints the node's network interfaces, but for those that are excluded from layer 2.
func (c *Client) Links(ctx context.Context, w io.Writer) error {
	resp, err := c.neighbors(ctx)
	if err != nil {
		return err
	}
	t := newTable(w)
	t.row("INTERFACE", "MAC", "STATE", "FOR", "MASTER", "ADDRESSES", "NEXT HOPS", "NOT FOR LAYER 2")
	for _, l := range resp.GetLinks() {
		state := "up"
		switch {
		case l.GetUp():
		case !l.GetEnabled():
			state = "disabled"
		case !l.GetCarrier():
			state = "no carrier"
		default:
			state = "down"
		}
		t.row(l.GetName(), orNone(l.GetMac()), state, c.since(l.GetSinceMs()), orNone(l.GetMaster()), list(l.GetAddresses()), list(l.GetNextHops()), orNone(l.GetUnfit()))
	}
	return t.flush()
}

// Segments prints whom the node hears on the links where layer-2 addresses are reached.
func (c *Client) Segments(ctx context.Context, w io.Writer) error {
	resp, err := c.neighbors(ctx)
	if err != nil {
		return err
	}
	t := newTable(w)
	t.row("INTERFACE", "WHO", "ADDRESS", "MAC", "ANSWER", "FOR", "HEARD", "BFD", "FOR")
	for _, seg := range resp.GetSegments() {
		for _, p := range seg.GetPeers() {
			t.row(seg.GetInterface(), "node "+p.GetNode(), orNone(p.GetAddress()), orNone(p.GetMac()), word(p.GetAnswer().String(), "ANSWER_"), c.since(p.GetSinceMs()),
				yesNo(p.GetHeard()), orNone(p.GetBfdState()), c.since(p.GetBfdSinceMs()))
		}
		for _, x := range seg.GetWitnesses() {
			t.row(seg.GetInterface(), "witness ("+word(x.GetSource().String(), "SOURCE_")+")", x.GetAddress(), orNone(x.GetMac()),
				word(x.GetAnswer().String(), "ANSWER_"), c.since(x.GetSinceMs()), "-", "-", "-")
		}
	}
	return t.flush()
}

// Neighbors prints the hosts that were heard asking for the node's addresses.
func (c *Client) Neighbors(ctx context.Context, w io.Writer) error {
	resp, err := c.neighbors(ctx)
	if err != nil {
		return err
	}
	t := newTable(w)
	t.row("INTERFACE", "ADDRESS", "MAC", "ASKED AGO")
	for _, n := range resp.GetNeighbors() {
		t.row(n.GetInterface(), n.GetAddress(), n.GetMac(), c.age(n.GetLastSeen().AsTime()))
	}
	return t.flush()
}

func (c *Client) neighbors(ctx context.Context) (*ingotv1.ListNeighborsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.speaker.ListNeighbors(ctx, &ingotv1.ListNeighborsRequest{})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(resp.GetLinks(), func(a, b *ingotv1.LinkReport) int { return strings.Compare(a.GetName(), b.GetName()) })
	slices.SortStableFunc(resp.GetSegments(), func(a, b *ingotv1.SegmentReport) int { return strings.Compare(a.GetInterface(), b.GetInterface()) })
	return resp, nil
}

// since is how long ago a time in milliseconds was.
func (c *Client) since(ms int64) string {
	if ms == 0 {
		return "-"
	}
	return c.age(time.UnixMilli(ms))
}

// word is the name of a value of an enumeration, for people.
func word(name, prefix string) string {
	name = strings.ToLower(strings.TrimPrefix(name, prefix))
	if name == "unspecified" {
		return "-"
	}
	return strings.ReplaceAll(name, "_", " ")
}

func list(texts []string) string { return orNone(strings.Join(texts, ",")) }

func rival(r *ingotv1.Layer2Rival) string {
	switch {
	case r == nil:
		return "-"
	case r.GetNode() != "":
		return fmt.Sprintf("node %s (%s on %s)", r.GetNode(), r.GetMac(), r.GetInterface())
	}
	return fmt.Sprintf("%s on %s", r.GetMac(), r.GetInterface())
}
