package bgp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// attributes are what one neighbour shall see with a prefix. They are comparable: communities are kept sorted,
// without repetitions, packed as on the wire.
type attributes struct {
	localPref        uint32 // 0: unset; to internal neighbours only
	hasMED           bool
	med              uint32
	prepend          uint8  // AS numbers of ours beyond the one that BGP demands; to external neighbours only
	communities      string // 4 bytes each, RFC 1997
	largeCommunities string // 12 bytes each, RFC 8092
}

// shown are the attributes that a neighbour of the session sees. LOCAL_PREF stays within an AS (RFC 4271 section
// 5.1.5), and so an AS path is empty there (section 5.1.2).
func (c sessionConfig) shown(a attributes) attributes {
	if c.dynamicASN == "internal" || c.dynamicASN == "" && c.peerASN == c.ownASN() {
		a.prepend = 0
	} else {
		a.localPref = 0
	}
	return a
}

// path is one entry of a session's RIB.
type path struct {
	prefix netip.Prefix
	// nextHop is unspecified (0.0.0.0 or ::) for the local address of the session.
	nextHop netip.Addr
	attributes
	// lastResort says that the path is to be used when there is no other: its LOCAL_PREF is 0, to internal neighbours.
	lastResort bool
}

// route is a BgpRoute item, checked.
type route struct {
	item   *ingotv1.Item // that it was read from
	round  uint64        // when it was last among those to apply
	prefix netip.Prefix
	peers  map[string]attributes
}

// maxCommunityBytes is what the communities of a route may take: an update has 4096 bytes (RFC 4271 section 4.1), which all
// attributes and the prefix share. gobgp panics when the attributes alone are longer.
const maxCommunityBytes = 3800

// maxPrepend leaves the rest of a message to the communities.
const maxPrepend = 32

// parseRoute checks an item. Its errors become the reason of a refusal.
func parseRoute(item *ingotv1.BgpRoute) (*route, error) {
	prefix, err := netip.ParsePrefix(item.GetPrefix())
	if err != nil {
		return nil, fmt.Errorf("prefix %q: %w", item.GetPrefix(), err)
	}
	if prefix != prefix.Masked() {
		return nil, fmt.Errorf("prefix %s has bits set beyond its length", prefix)
	}
	r := &route{prefix: prefix, peers: make(map[string]attributes)}
	for _, ad := range item.GetAdvertisements() {
		attrs := attributes{
			localPref:        ad.GetLocalPref(),
			hasMED:           ad.Med != nil,
			med:              ad.GetMed(),
			prepend:          uint8(min(ad.GetAsPathPrepend(), maxPrepend)),
			communities:      packCommunities(ad.GetCommunities()),
			largeCommunities: packLargeCommunities(ad.GetLargeCommunities()),
		}
		if size := len(attrs.communities) + len(attrs.largeCommunities); size > maxCommunityBytes {
			return nil, fmt.Errorf("the communities of %s take %d bytes; a message has room for %d", prefix, size, maxCommunityBytes)
		}
		if n := ad.GetAsPathPrepend(); n > maxPrepend {
			return nil, fmt.Errorf("the AS path of %s is prepended %d times; %d is the most", prefix, n, maxPrepend)
		}
		for _, peer := range ad.GetPeers() {
			if _, twice := r.peers[peer]; twice {
				return nil, fmt.Errorf("peer %s appears in two advertisements of %s", peer, prefix)
			}
			r.peers[peer] = attrs
		}
	}
	return r, nil
}

func packCommunities(values []uint32) string {
	values = slices.Compact(slices.Sorted(slices.Values(values)))
	packed := make([]byte, 0, 4*len(values))
	for _, v := range values {
		packed = binary.BigEndian.AppendUint32(packed, v)
	}
	return string(packed)
}

func unpackCommunities(packed string) []uint32 {
	values := make([]uint32, 0, len(packed)/4)
	for b := []byte(packed); len(b) >= 4; b = b[4:] {
		values = append(values, binary.BigEndian.Uint32(b))
	}
	return values
}

func packLargeCommunities(values []*ingotv1.LargeCommunity) string {
	entries := make([]string, 0, len(values))
	for _, v := range values {
		b := binary.BigEndian.AppendUint32(make([]byte, 0, 12), v.GetGlobalAdministrator())
		b = binary.BigEndian.AppendUint32(b, v.GetLocalData1())
		b = binary.BigEndian.AppendUint32(b, v.GetLocalData2())
		entries = append(entries, string(b))
	}
	slices.Sort(entries)
	var packed string
	for _, e := range slices.Compact(entries) {
		packed += e
	}
	return packed
}
