// Package guard judges from outside what API servers did to a configuration that many writers fought over: every
// state that etcd ever held, and whether the answers that the writers got are those of one writer after the other.
//
// It knows nothing of the packages that it judges. Its rules are written down once more, naively, over objects as they
// lie in etcd, and only for what its writers write: pools of IPv4 CIDRs, peers of one VRF and any node, BGP
// advertisements that name their pools, and BFD profiles.
package guard

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// The resources that are written.
const (
	Pools          = "ipaddresspools"
	Advertisements = "bgpadvertisements"
	Peers          = "bgppeers"
	Profiles       = "bfdprofiles"
)

// Namespace holds all objects.
const Namespace = "metallb-system"

// Key names an object.
type Key struct{ Resource, Name string }

// String is resource and name.
func (k Key) String() string { return k.Resource + "/" + k.Name }

// Spec is the fields of all resources that writers write; those of other resources are zero. What is written is never
// the zero value, so that an applied or patched field is always told from one that is left alone.
type Spec struct {
	Addresses []string `json:"addresses,omitempty"`

	IPAddressPools    []string `json:"ipAddressPools,omitempty"`
	AggregationLength int      `json:"aggregationLength,omitempty"`
	LocalPref         int      `json:"localPref,omitempty"`

	PeerAddress string `json:"peerAddress,omitempty"`
	MyASN       int    `json:"myASN,omitempty"`
	PeerASN     int    `json:"peerASN,omitempty"`
	RouterID    string `json:"routerID,omitempty"`
	BFDProfile  string `json:"bfdProfile,omitempty"`

	DetectMultiplier int `json:"detectMultiplier,omitempty"`
}

// over returns s with the fields that are set in change.
func (s Spec) over(change Spec) (Spec, error) {
	patch, err := json.Marshal(change)
	if err != nil {
		return Spec{}, err
	}
	made := s
	made.Addresses, made.IPAddressPools = nil, nil // Unmarshal would write into what s has
	if err := json.Unmarshal(patch, &made); err != nil {
		return Spec{}, err
	}
	if change.Addresses == nil {
		made.Addresses = s.Addresses
	}
	if change.IPAddressPools == nil {
		made.IPAddressPools = s.IPAddressPools
	}
	return made, nil
}

// OpAnnotation carries the number of the operation that wrote an object, so that its commit can be told.
const OpAnnotation = "guard.test/op"

// Object is an object as the API shows it and etcd holds it.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name            string            `json:"name"`
		Namespace       string            `json:"namespace"`
		ResourceVersion string            `json:"resourceVersion,omitempty"`
		Annotations     map[string]string `json:"annotations,omitempty"`
	} `json:"metadata"`
	Spec Spec `json:"spec"`
}

// Configuration is objects by their names. It is never changed.
type Configuration map[Key]Spec

// with returns c with an object, or without it (nil).
func (c Configuration) with(key Key, spec *Spec) Configuration {
	made := maps.Clone(c)
	if made == nil {
		made = Configuration{}
	}
	if spec == nil {
		delete(made, key)
	} else {
		made[key] = *spec
	}
	return made
}

// objectsPrefix is where the API server keeps the objects.
const objectsPrefix = "/registry/metallb.io/"

// keyOf takes an etcd key apart.
func keyOf(key string) (Key, error) {
	parts := strings.Split(strings.TrimPrefix(key, objectsPrefix), "/")
	if len(parts) != 3 || parts[1] != Namespace {
		return Key{}, fmt.Errorf("%s is not the key of an object", key)
	}
	return Key{parts[0], parts[2]}, nil
}
