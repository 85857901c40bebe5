package metallb

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Conditioned is an object whose status has conditions: every stored configuration kind.
//
// +k8s:deepcopy-gen=false
type Conditioned interface {
	runtime.Object
	metav1.Object
	// StatusConditions are those of the status, to be read and written.
	StatusConditions() *[]metav1.Condition
}

// StatusConditions implements Conditioned.
func (p *IPAddressPool) StatusConditions() *[]metav1.Condition { return &p.Status.Conditions }

// StatusConditions implements Conditioned.
func (a *L2Advertisement) StatusConditions() *[]metav1.Condition { return &a.Status.Conditions }

// StatusConditions implements Conditioned.
func (a *BGPAdvertisement) StatusConditions() *[]metav1.Condition { return &a.Status.Conditions }

// StatusConditions implements Conditioned.
func (p *BGPPeer) StatusConditions() *[]metav1.Condition { return &p.Status.Conditions }

// StatusConditions implements Conditioned.
func (p *BFDProfile) StatusConditions() *[]metav1.Condition { return &p.Status.Conditions }

// StatusConditions implements Conditioned.
func (c *Community) StatusConditions() *[]metav1.Condition { return &c.Status.Conditions }

// StatusConditions implements Conditioned.
func (r *IPReservation) StatusConditions() *[]metav1.Condition { return &r.Status.Conditions }

// StatusConditions implements Conditioned.
func (m *MetalLB) StatusConditions() *[]metav1.Condition { return &m.Status.Conditions }

// StatusConditions implements Conditioned.
func (p *AddressPool) StatusConditions() *[]metav1.Condition { return &p.Status.Conditions }
