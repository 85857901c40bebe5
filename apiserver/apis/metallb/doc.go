// Package metallb holds the internal (hub) types of the API group metallb.io. Every served version converts to
// and from them; the rules and the planner see nothing else. They carry no JSON tags: they are never on a wire.
//
// +k8s:deepcopy-gen=package
// +groupName=metallb.io
package metallb
