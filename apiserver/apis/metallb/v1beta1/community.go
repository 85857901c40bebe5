package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Community gives names to BGP communities, for BGPAdvertisements to use in place of their values.
type Community struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec holds the names.
	// +optional
	Spec CommunitySpec `json:"spec,omitempty"`
	// status is what is observed of the Community.
	// +optional
	Status CommunityStatus `json:"status,omitempty,omitzero"`
}

// CommunitySpec is the desired state of a Community.
type CommunitySpec struct {
	// communities are the aliases that this object defines.
	// +optional
	// +listType=atomic
	Communities []CommunityAlias `json:"communities,omitempty"`
}

// CommunityAlias is a name for the value of a community.
type CommunityAlias struct {
	// name is what BGPAdvertisements may have in communities. It is unique over all Community objects. One that
	// contains ":" would be read as a value, and so cannot be used.
	// +optional
	Name string `json:"name,omitempty"`

	// value is the community: "64512:100", two numbers from 0 to 65535 (RFC 1997), or "large:64512:1:2", three from
	// 0 to 4294967295 (RFC 8092).
	// +optional
	Value string `json:"value,omitempty"`
}

// CommunityStatus is what is observed of a Community.
type CommunityStatus struct {
	// conditions say how far the object is in effect: Ready, and ReferencesResolved. Written by the apiserver.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// CommunityList is a list of Communities.
type CommunityList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Communities.
	Items []Community `json:"items"`
}
