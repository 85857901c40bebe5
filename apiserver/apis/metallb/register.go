package metallb

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of everything here.
const GroupName = "metallb.io"

// SchemeGroupVersion is the group with the internal version.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: runtime.APIVersionInternal}

// AddToScheme registers the internal types.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&IPAddressPool{}, &IPAddressPoolList{},
		&L2Advertisement{}, &L2AdvertisementList{},
		&BGPAdvertisement{}, &BGPAdvertisementList{},
		&BGPPeer{}, &BGPPeerList{},
		&BFDProfile{}, &BFDProfileList{},
		&Community{}, &CommunityList{},
		&IPReservation{}, &IPReservationList{},
		&IPAllocation{}, &IPAllocationList{},
		&IPAllocationClaim{},
		&MetalLB{}, &MetalLBList{},
		&ConfigurationState{}, &ConfigurationStateList{},
		&BGPSessionState{}, &BGPSessionStateList{},
		&BFDSessionState{}, &BFDSessionStateList{},
		&ServiceBGPStatus{}, &ServiceBGPStatusList{},
		&ServiceL2Status{}, &ServiceL2StatusList{},
		&SpeakerState{}, &SpeakerStateList{},
		&AddressPool{}, &AddressPoolList{},
	)
	return nil
}

// Resource is the group's resource of that name, plural or singular.
func Resource(name string) schema.GroupResource {
	return schema.GroupResource{Group: GroupName, Resource: name}
}
