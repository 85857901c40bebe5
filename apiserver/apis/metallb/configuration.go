package metallb

// Configuration is everything that the rules judge as one whole and the planner plans from: all stored
// configuration objects as they were at one revision of the guard. It is shared and must not be changed.
//
// +k8s:deepcopy-gen=false
type Configuration struct {
	IPAddressPools    []*IPAddressPool
	AddressPools      []*AddressPool
	L2Advertisements  []*L2Advertisement
	BGPAdvertisements []*BGPAdvertisement
	BGPPeers          []*BGPPeer
	BFDProfiles       []*BFDProfile
	Communities       []*Community
	IPReservations    []*IPReservation
	// MetalLBs are for those who follow what the installation says; no rule spans them and other kinds.
	MetalLBs []*MetalLB
}
