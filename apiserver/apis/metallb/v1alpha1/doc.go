// Package v1alpha1 is metallb.io/v1alpha1 as users wrote it: AddressPool, field for field as in v1beta1, and deprecated in
// both. JSON names, defaults and meaning are MetalLB's; the rules are in package rules.
//
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.metallb.v1alpha1
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=github.com/ingot-lb/ingot/apiserver/apis/metallb
// +k8s:defaulter-gen=TypeMeta
// +groupName=metallb.io
package v1alpha1
