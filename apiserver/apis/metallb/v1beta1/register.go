package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// SchemeGroupVersion is the group and version of the types here.
var SchemeGroupVersion = schema.GroupVersion{Group: metallb.GroupName, Version: "v1beta1"}

var (
	// SchemeBuilder collects what AddToScheme registers; generated code adds defaults and conversions.
	SchemeBuilder      = runtime.NewSchemeBuilder(addKnownTypes)
	localSchemeBuilder = &SchemeBuilder
	// AddToScheme registers the types, their defaults and their conversion to the internal types.
	AddToScheme = SchemeBuilder.AddToScheme
)

func init() {
	localSchemeBuilder.Register(RegisterDefaults)
}

func addKnownTypes(scheme *runtime.Scheme) error {
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
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}
