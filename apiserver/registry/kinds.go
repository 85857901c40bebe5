package registry

import (
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// kinds are the stored kinds. Columns are those of MetalLB's CRDs.
var kinds = []kind{ipAddressPools, l2Advertisements, bgpAdvertisements, bgpPeers, bfdProfiles, communities, ipReservations, metalLBs, addressPools}

var ipAddressPools = kind{
	plural: "ipaddresspools", singular: "ipaddresspool", shortNames: []string{"ipp"}, versions: []string{"v1beta1"},
	newObject: func() runtime.Object { return &metallb.IPAddressPool{} },
	newList:   func() runtime.Object { return &metallb.IPAddressPoolList{} },
	parts: partsOf(func(p *metallb.IPAddressPool) (*metallb.IPAddressPoolSpec, *metallb.IPAddressPoolStatus) {
		return &p.Spec, &p.Status
	}),
	columns: []column{
		{"Auto Assign", "boolean", 0, "Whether Services may draw from the pool without asking for it.",
			cell(func(p *metallb.IPAddressPool) any { return valueCell(p.Spec.AutoAssign) })},
		{"Avoid Buggy IPs", "boolean", 0, "Whether IPv4 addresses that end in .0 or .255 stay unused.",
			cell(func(p *metallb.IPAddressPool) any { return p.Spec.AvoidBuggyIPs })},
		{"Addresses", "string", 0, "CIDRs and ranges of the pool.",
			cell(func(p *metallb.IPAddressPool) any { return listCell(p.Spec.Addresses) })},
	},
}

var l2Advertisements = kind{
	plural: "l2advertisements", singular: "l2advertisement", shortNames: []string{"l2adv"}, versions: []string{"v1beta1"},
	newObject: func() runtime.Object { return &metallb.L2Advertisement{} },
	newList:   func() runtime.Object { return &metallb.L2AdvertisementList{} },
	parts: partsOf(func(a *metallb.L2Advertisement) (*metallb.L2AdvertisementSpec, *metallb.L2AdvertisementStatus) {
		return &a.Spec, &a.Status
	}),
	columns: []column{
		{"IPAddressPools", "string", 0, "Names of the pools that are announced.",
			cell(func(a *metallb.L2Advertisement) any { return listCell(a.Spec.IPAddressPools) })},
		{"IPAddressPool Selectors", "string", 0, "Selectors of the pools that are announced.",
			cell(func(a *metallb.L2Advertisement) any { return listCell(a.Spec.IPAddressPoolSelectors) })},
		{"Interfaces", "string", 0, "Interfaces that addresses are announced on.",
			cell(func(a *metallb.L2Advertisement) any { return listCell(a.Spec.Interfaces) })},
		{"Node Selectors", "string", 10, "Selectors of the nodes that may announce.",
			cell(func(a *metallb.L2Advertisement) any { return listCell(a.Spec.NodeSelectors) })},
	},
}

var bgpAdvertisements = kind{
	plural: "bgpadvertisements", singular: "bgpadvertisement", shortNames: []string{"bgpadv"}, versions: []string{"v1beta1"},
	newObject: func() runtime.Object { return &metallb.BGPAdvertisement{} },
	newList:   func() runtime.Object { return &metallb.BGPAdvertisementList{} },
	parts: partsOf(func(a *metallb.BGPAdvertisement) (*metallb.BGPAdvertisementSpec, *metallb.BGPAdvertisementStatus) {
		return &a.Spec, &a.Status
	}),
	columns: []column{
		{"IPAddressPools", "string", 0, "Names of the pools that are announced.",
			cell(func(a *metallb.BGPAdvertisement) any { return listCell(a.Spec.IPAddressPools) })},
		{"IPAddressPool Selectors", "string", 0, "Selectors of the pools that are announced.",
			cell(func(a *metallb.BGPAdvertisement) any { return listCell(a.Spec.IPAddressPoolSelectors) })},
		{"Peers", "string", 0, "Names of the peers that are announced to.",
			cell(func(a *metallb.BGPAdvertisement) any { return listCell(a.Spec.Peers) })},
		{"Node Selectors", "string", 10, "Selectors of the nodes that announce.",
			cell(func(a *metallb.BGPAdvertisement) any { return listCell(a.Spec.NodeSelectors) })},
	},
}

var bgpPeers = kind{
	plural: "bgppeers", singular: "bgppeer", shortNames: []string{"bgpp"}, versions: []string{"v1beta2", "v1beta1"},
	older:     []older{bgpPeersBefore},
	newObject: func() runtime.Object { return &metallb.BGPPeer{} },
	newList:   func() runtime.Object { return &metallb.BGPPeerList{} },
	parts: partsOf(func(p *metallb.BGPPeer) (*metallb.BGPPeerSpec, *metallb.BGPPeerStatus) {
		return &p.Spec, &p.Status
	}),
	columns: []column{
		{"Address", "string", 0, "Address of the peer.",
			cell(func(p *metallb.BGPPeer) any { return textCell(p.Spec.Address) })},
		{"ASN", "string", 0, "AS number of the peer.",
			cell(func(p *metallb.BGPPeer) any {
				if p.Spec.ASN == 0 {
					return nil
				}
				return strconv.FormatInt(p.Spec.ASN, 10)
			})},
		{"BFD Profile", "string", 0, "BFDProfile of the session.",
			cell(func(p *metallb.BGPPeer) any { return textCell(p.Spec.BFDProfile) })},
		{"Multi Hops", "string", 0, "Whether the peer may be more than one hop away.",
			cell(func(p *metallb.BGPPeer) any { return strconv.FormatBool(p.Spec.EBGPMultiHop) })},
	},
}

var bfdProfiles = kind{
	plural: "bfdprofiles", singular: "bfdprofile", shortNames: []string{"bfdp"}, versions: []string{"v1beta1"},
	newObject: func() runtime.Object { return &metallb.BFDProfile{} },
	newList:   func() runtime.Object { return &metallb.BFDProfileList{} },
	parts: partsOf(func(p *metallb.BFDProfile) (*metallb.BFDProfileSpec, *metallb.BFDProfileStatus) {
		return &p.Spec, &p.Status
	}),
	columns: []column{
		{"Passive Mode", "boolean", 0, "Whether the peer begins the session.",
			cell(func(p *metallb.BFDProfile) any { return valueCell(p.Spec.PassiveMode) })},
		{"Transmit Interval", "integer", 0, "Shortest interval between packets that are sent, in milliseconds.",
			cell(func(p *metallb.BFDProfile) any { return valueCell(p.Spec.TransmitInterval) })},
		{"Receive Interval", "integer", 0, "Shortest interval between packets that can be received, in milliseconds.",
			cell(func(p *metallb.BFDProfile) any { return valueCell(p.Spec.ReceiveInterval) })},
		{"Multiplier", "integer", 0, "Number of packets that may be lost.",
			cell(func(p *metallb.BFDProfile) any { return valueCell(p.Spec.DetectMultiplier) })},
	},
}

var communities = kind{
	plural: "communities", singular: "community", versions: []string{"v1beta1"},
	newObject: func() runtime.Object { return &metallb.Community{} },
	newList:   func() runtime.Object { return &metallb.CommunityList{} },
	parts: partsOf(func(c *metallb.Community) (*metallb.CommunitySpec, *metallb.CommunityStatus) {
		return &c.Spec, &c.Status
	}),
	columns: []column{age(func(c *metallb.Community) metav1.Time { return c.CreationTimestamp })},
}

var addressPools = kind{
	plural: "addresspools", singular: "addresspool", versions: []string{"v1beta1", "v1alpha1"},
	older:     []older{addressPoolsIn("v1beta1"), addressPoolsIn("v1alpha1")},
	newObject: func() runtime.Object { return &metallb.AddressPool{} },
	newList:   func() runtime.Object { return &metallb.AddressPoolList{} },
	parts: partsOf(func(p *metallb.AddressPool) (*metallb.AddressPoolSpec, *metallb.AddressPoolStatus) {
		return &p.Spec, &p.Status
	}),
	columns: []column{age(func(p *metallb.AddressPool) metav1.Time { return p.CreationTimestamp })},
}

var ipReservations = kind{
	plural: "ipreservations", singular: "ipreservation", shortNames: []string{"ipr"}, versions: []string{"v1beta1"},
	newObject: func() runtime.Object { return &metallb.IPReservation{} },
	newList:   func() runtime.Object { return &metallb.IPReservationList{} },
	parts: partsOf(func(r *metallb.IPReservation) (*metallb.IPReservationSpec, *metallb.IPReservationStatus) {
		return &r.Spec, &r.Status
	}),
	columns: []column{
		{"Addresses", "string", 0, "CIDRs, ranges and addresses that are reserved.",
			cell(func(r *metallb.IPReservation) any { return listCell(r.Spec.Addresses) })},
		{"Namespace", "string", 0, "Namespace that they are for; nobody gets them without one.",
			cell(func(r *metallb.IPReservation) any { return textCell(r.Spec.Namespace) })},
		{"Service", "string", 0, "Service that they are for; any of the namespace without one.",
			cell(func(r *metallb.IPReservation) any { return textCell(r.Spec.Service) })},
		{"Reason", "string", 10, "What the reservation is for.",
			cell(func(r *metallb.IPReservation) any { return textCell(r.Spec.Reason) })},
		age(func(r *metallb.IPReservation) metav1.Time { return r.CreationTimestamp }),
	},
}

// metalLBs is what "kubectl get metallb" means: nothing else of the group answers to that name.
var metalLBs = kind{
	plural: "metallbs", singular: "metallb", versions: []string{"v1beta1"},
	newObject: func() runtime.Object { return &metallb.MetalLB{} },
	newList:   func() runtime.Object { return &metallb.MetalLBList{} },
	parts: partsOf(func(m *metallb.MetalLB) (*metallb.MetalLBSpec, *metallb.MetalLBStatus) {
		return &m.Spec, &m.Status
	}),
	columns: []column{
		{"Available", "string", 0, "Whether all programs run.",
			cell(func(m *metallb.MetalLB) any { return conditionCell(m.Status.Conditions, "Available") })},
		{"Degraded", "string", 0, "Whether the installation cannot be what the object says.",
			cell(func(m *metallb.MetalLB) any { return conditionCell(m.Status.Conditions, "Degraded") })},
		{"Progressing", "string", 0, "Whether the installation is being made what the object says.",
			cell(func(m *metallb.MetalLB) any { return conditionCell(m.Status.Conditions, "Progressing") })},
		age(func(m *metallb.MetalLB) metav1.Time { return m.CreationTimestamp }),
	},
}

// conditionCell is the status of a condition, and empty where there is none.
func conditionCell(conditions []metav1.Condition, name string) any {
	if c := meta.FindStatusCondition(conditions, name); c != nil {
		return string(c.Status)
	}
	return nil
}
