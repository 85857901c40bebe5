package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Community gives names to BGP communities, for BGPAdvertisements to use.
type Community struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   CommunitySpec
	Status CommunityStatus
}

// CommunitySpec is the desired state of a Community.
type CommunitySpec struct {
	// Communities are the aliases. Their names are unique over all Community objects.
	Communities []CommunityAlias
}

// CommunityAlias is a name for the value of a community.
type CommunityAlias struct {
	Name string
	// Value is "u16:u16" or "large:u32:u32:u32".
	Value string
}

// CommunityStatus is what is observed of a Community.
type CommunityStatus struct {
	// Conditions are Ready, ReferencesResolved, and those of others.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// CommunityList is a list of Communities.
type CommunityList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []Community
}
