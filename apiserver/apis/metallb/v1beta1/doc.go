// Package v1beta1 is metallb.io/v1beta1 as users write it: every kind of MetalLB's that there is; its BGPPeer is
// deprecated for the one of v1beta2. JSON names, defaults and meaning are MetalLB's; the rules are in package rules.
//
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.metallb.v1beta1
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=github.com/ingot-lb/ingot/apiserver/apis/metallb
// +k8s:defaulter-gen=TypeMeta
// +groupName=metallb.io
package v1beta1
