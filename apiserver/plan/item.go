package plan

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"strings"

	"google.golang.org/protobuf/proto"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

const sessionPrefix = "bgp-session/"

// SessionID is the id of the session with a BGPPeer.
func SessionID(peer string) string { return sessionPrefix + peer }

// SessionPeer is the BGPPeer whose session an item is, by the item's id; other items have none.
func SessionPeer(id string) (peer string, ok bool) { return strings.CutPrefix(id, sessionPrefix) }

const routePrefix = "bgp-route/"

// routeID is the id of the route to a prefix.
func routeID(prefix netip.Prefix) string { return routePrefix + prefix.String() }

// IsRoute says whether an item is a route, by its id.
func IsRoute(id string) bool { return strings.HasPrefix(id, routePrefix) }

const layer2Prefix = "layer2/"

// Layer2ID is the id of a layer-2 address.
func Layer2ID(addr netip.Addr) string { return layer2Prefix + addr.String() }

// Layer2Address is the address that the id of a layer-2 item names; other items name none.
func Layer2Address(id string) (netip.Addr, bool) {
	text, ok := strings.CutPrefix(id, layer2Prefix)
	if !ok {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(text)
	return addr, err == nil
}

const segmentPrefix = "layer2-segment/"

// SegmentID is the id of the item that says whom a node listens to on a link.
func SegmentID(link string) string { return segmentPrefix + link }

// IsSegment says whether an item is a segment, by its id.
func IsSegment(id string) bool { return strings.HasPrefix(id, segmentPrefix) }

// LaneOf is the lane that an item belongs in, by its id.
func LaneOf(id string) ingotv1.Lane {
	if strings.HasPrefix(id, layer2Prefix) || IsSegment(id) {
		return ingotv1.Lane_LANE_LAYER2
	}
	return ingotv1.Lane_LANE_ROUTING
}

// ServiceRefs lists the Services that an item announces, once for each of their addresses; none for a session.
func ServiceRefs(item *ingotv1.Item) []*ingotv1.ServiceRef {
	switch content := item.GetContent().(type) {
	case *ingotv1.Item_BgpRoute:
		return content.BgpRoute.GetServices()
	case *ingotv1.Item_Layer2Address:
		return content.Layer2Address.GetServices()
	}
	return nil
}

// ProtocolOf is the protocol an item belongs to; empty for content that this version does not know.
func ProtocolOf(item *ingotv1.Item) Protocol {
	switch item.GetContent().(type) {
	case *ingotv1.Item_BgpSession, *ingotv1.Item_BgpRoute, *ingotv1.Item_BgpGuard:
		return BGP
	case *ingotv1.Item_Layer2Address, *ingotv1.Item_Layer2Segment:
		return Layer2
	}
	return ""
}

// digester fills in digests; it reuses one MAC.
type digester struct{ mac hash.Hash }

func newDigester(key []byte) digester { return digester{hmac.New(sha256.New, key)} }

// seal fills in the digest of an item whose other fields are final. 128 bits of the MAC are kept: digests are
// compared between versions of one item only, and each speaker lists all of its own when it connects.
func (d digester) seal(item *ingotv1.Item) *ingotv1.Item {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(item)
	if err != nil { // only invalid UTF-8 can fail, and Kubernetes stores none
		b = fmt.Appendf(nil, "%s: %v", item.GetId(), err)
	}
	d.mac.Reset()
	d.mac.Write(b)
	item.Digest = hex.EncodeToString(d.mac.Sum(nil)[:16])
	return item
}
