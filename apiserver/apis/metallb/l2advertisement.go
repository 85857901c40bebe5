package metallb

import (
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// L2Advertisement announces the addresses of pools by ARP and NDP.
type L2Advertisement struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   L2AdvertisementSpec
	Status L2AdvertisementStatus
}

// L2AdvertisementSpec is the desired state of an L2Advertisement. With neither pools nor pool selectors it
// applies to all pools.
type L2AdvertisementSpec struct {
	IPAddressPools         []string
	IPAddressPoolSelectors []metav1.LabelSelector
	// NodeSelectors limits the nodes that may announce; empty means all.
	NodeSelectors []metav1.LabelSelector
	// Interfaces to announce on; empty means all.
	Interfaces []string
	// ServiceSelectors limits the Services; empty means all.
	ServiceSelectors []metav1.LabelSelector
	// PreferredNodeSelectors weigh the nodes of the election.
	PreferredNodeSelectors []PreferredNodeSelector
	// RefreshInterval is about how often an address is announced unasked for as long as a node owns it; unset means
	// DefaultRefreshInterval. In a stored object it is within MinRefreshInterval and MaxRefreshInterval.
	RefreshInterval *Duration
	// ProbeAddresses are witnesses: hosts on the segment of the addresses that are none of our nodes, and answer ARP or
	// NDP for as long as the segment works.
	ProbeAddresses []string
}

// Bounds of L2AdvertisementSpec.RefreshInterval. Announcements cannot be turned off, for they are what mends the
// tables of hosts that missed a change of owner.
const (
	DefaultRefreshInterval = time.Minute
	MinRefreshInterval     = time.Second
	MaxRefreshInterval     = time.Hour
)

// MaxProbeAddresses is how many witnesses an L2Advertisement may name.
const MaxProbeAddresses = 16

// Refresh returns RefreshInterval with its default.
func (s *L2AdvertisementSpec) Refresh() time.Duration {
	if s.RefreshInterval != nil {
		if length, err := s.RefreshInterval.Parse(); err == nil {
			return length
		}
	}
	return DefaultRefreshInterval
}

// Probes returns ProbeAddresses; IPv4 addresses that are written as IPv6 are IPv4. What is no address is left out: a
// stored object has none.
func (s *L2AdvertisementSpec) Probes() []netip.Addr {
	probes := make([]netip.Addr, 0, len(s.ProbeAddresses))
	for _, text := range s.ProbeAddresses {
		if a, err := netip.ParseAddr(text); err == nil {
			probes = append(probes, a.Unmap())
		}
	}
	return probes
}

// PreferredNodeSelector adds Weight (1 to 100) to the score of nodes that Preference matches.
type PreferredNodeSelector struct {
	Weight     int32
	Preference metav1.LabelSelector
}

// L2AdvertisementStatus is what is observed of a L2Advertisement.
type L2AdvertisementStatus struct {
	// Conditions are Ready, ReferencesResolved, and those of others.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// L2AdvertisementList is a list of L2Advertisements.
type L2AdvertisementList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []L2Advertisement
}
