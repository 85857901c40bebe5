// Package v1beta2 is metallb.io/v1beta2 as users write it: BGPPeer. JSON names, defaults and meaning are MetalLB's; the
// rules are in package rules.
//
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.metallb.v1beta2
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=github.com/ingot-lb/ingot/apiserver/apis/metallb
// +k8s:defaulter-gen=TypeMeta
// +groupName=metallb.io
package v1beta2
