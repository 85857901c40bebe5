// Package ledger says how the ledger of addresses changes by what Services claim and release: which claims are granted,
// and what the IPAllocations are then. It is pure; package store commits what it decides.
package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// ErrTermEnded says that another controller has begun a term since the caller's began.
var ErrTermEnded = errors.New("another term has begun")

// Labels of an IPAllocation, where they are of one value.
const (
	PoolLabel      = "ingot.io/pool"
	NamespaceLabel = "ingot.io/namespace"
	ServiceLabel   = "ingot.io/service"
)

// Name is that of the IPAllocation of an address.
func Name(a netip.Addr) string {
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	return strings.ReplaceAll(a.StringExpanded(), ":", "-")
}

// Address is the one whose IPAllocation has the name.
func Address(name string) (a netip.Addr, ok bool) {
	a, err := netip.ParseAddr(strings.ReplaceAll(name, "-", ":"))
	return a, err == nil && Name(a) == name
}

// Entries is the part of the ledger that some claims are about: the IPAllocation of each of their addresses, nil where
// nobody holds it. The objects are shared and are replaced, not changed.
type Entries map[netip.Addr]*metallb.IPAllocation

// Judge says whether the configuration, as it is now, lets the Service of a claim come to hold an address: ClaimGranted,
// or the refusal and why.
type Judge func(c *metallb.ServiceClaim, a netip.Addr) (result metallb.ClaimResult, why string)

// Apply grants a valid claim, and enters it, or says why not, and changes nothing. checked is set if the answer depends
// on the configuration.
func (e Entries) Apply(c *metallb.ServiceClaim, judge Judge, now time.Time) (result metallb.ServiceClaimResult, checked bool) {
	next := map[netip.Addr]*metallb.IPAllocation{}
	for _, text := range c.Release {
		a := parse(text)
		next[a] = without(e[a], c.Namespace, c.Name)
	}
	for _, text := range c.Addresses {
		a := parse(text)
		before := e[a]
		if others := rivals(before, c); others != "" {
			return metallb.ServiceClaimResult{
				Result: metallb.ClaimHeld, Message: others, Address: a.String(), Holders: holdersBut(before, c), Since: &before.Spec.Since,
			}, checked
		}
		if !c.Kept && !Holds(before, c.Namespace, c.Name) {
			checked = true
			if verdict, why := judge(c, a); verdict != metallb.ClaimGranted {
				return metallb.ServiceClaimResult{Result: verdict, Message: why, Address: a.String()}, checked
			}
		}
		next[a] = with(before, a, c, now)
	}
	maps.Copy(e, next)
	return metallb.ServiceClaimResult{Result: metallb.ClaimGranted}, checked
}

// Holds says whether a Service is among the holders; nobody is where there is no allocation.
func Holds(a *metallb.IPAllocation, namespace, name string) bool {
	return a != nil && slices.ContainsFunc(a.Spec.Services, is(namespace, name))
}

func is(namespace, name string) func(metallb.AllocatedService) bool {
	return func(s metallb.AllocatedService) bool { return s.Namespace == namespace && s.Name == name }
}

func holdersBut(a *metallb.IPAllocation, c *metallb.ServiceClaim) []metallb.AllocatedService {
	if a == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(a.Spec.Services), is(c.Namespace, c.Name))
}

// rivals says why the other holders of an address do not share it with a Service; nothing where they do, or there are
// none (spec.md section 4.7).
func rivals(a *metallb.IPAllocation, c *metallb.ServiceClaim) string {
	others := holdersBut(a, c)
	if len(others) == 0 {
		return ""
	}
	since := a.Spec.Since.UTC().Format(time.RFC3339)
	if a.Spec.SharingKey == "" || a.Spec.SharingKey != c.SharingKey || a.Spec.BackendKey != c.BackendKey {
		return fmt.Sprintf("%s is held by %s since %s, under another sharing key or with other backends", a.Spec.Address, names(others), since)
	}
	for _, o := range others {
		for _, port := range c.Ports {
			if slices.Contains(o.Ports, port) {
				return fmt.Sprintf("port %s/%d of %s is held by Service %s/%s", port.Protocol, port.Port, a.Spec.Address, o.Namespace, o.Name)
			}
		}
	}
	return ""
}

func names(services []metallb.AllocatedService) string {
	const most = 3
	var list []string
	for _, s := range services[:min(len(services), most)] {
		list = append(list, s.Namespace+"/"+s.Name)
	}
	text := "Service " + strings.Join(list, ", ")
	if more := len(services) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// with is the allocation after the Service has joined it, or told what is new about it: the same object if nothing is.
func with(before *metallb.IPAllocation, addr netip.Addr, c *metallb.ServiceClaim, now time.Time) *metallb.IPAllocation {
	after := &metallb.IPAllocation{}
	if before != nil {
		after = before.DeepCopy()
	} else {
		after.Name = Name(addr)
		after.Spec.Address = addr.String()
		after.Spec.Since = metav1.NewTime(now.Truncate(time.Second))
	}
	services := append(holdersBut(before, c), metallb.AllocatedService{Namespace: c.Namespace, Name: c.Name, UID: c.UID, Ports: c.Ports})
	slices.SortFunc(services, func(a, b metallb.AllocatedService) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	after.Spec.Pool, after.Spec.SharingKey, after.Spec.BackendKey, after.Spec.Services = c.Pool, c.SharingKey, c.BackendKey, services
	label(after)
	if before != nil && apiequality.Semantic.DeepEqual(before, after) {
		return before
	}
	return after
}

// without is the allocation after the Service has left it: nil when nobody is left.
func without(before *metallb.IPAllocation, namespace, name string) *metallb.IPAllocation {
	if !Holds(before, namespace, name) {
		return before
	}
	if len(before.Spec.Services) == 1 {
		return nil
	}
	after := before.DeepCopy()
	after.Spec.Services = slices.DeleteFunc(after.Spec.Services, is(namespace, name))
	label(after)
	return after
}

// label sets the labels that say what the spec does, where that is one name that fits into a label.
func label(a *metallb.IPAllocation) {
	set := func(key, value string) {
		if value != "" && len(validation.IsValidLabelValue(value)) == 0 {
			if a.Labels == nil {
				a.Labels = map[string]string{}
			}
			a.Labels[key] = value
		} else {
			delete(a.Labels, key)
		}
	}
	set(PoolLabel, a.Spec.Pool)
	first, namespace, name := a.Spec.Services[0], a.Spec.Services[0].Namespace, ""
	if len(a.Spec.Services) == 1 {
		name = first.Name
	}
	if slices.ContainsFunc(a.Spec.Services, func(s metallb.AllocatedService) bool { return s.Namespace != first.Namespace }) {
		namespace = ""
	}
	set(NamespaceLabel, namespace)
	set(ServiceLabel, name)
}

// parse reads an address of a valid claim.
func parse(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil {
		panic("ledger: a claim that was not validated: " + err.Error())
	}
	return a.Unmap()
}

// Holding is what is told of an IPAllocation to those who read all of them.
type Holding struct {
	// Services hold the address, in order of namespace and name.
	Services []types.NamespacedName
	// Shareable is set where others may join them.
	Shareable bool
}

// HoldingOf is what is told of a.
func HoldingOf(a *metallb.IPAllocation) Holding {
	h := Holding{Services: make([]types.NamespacedName, len(a.Spec.Services)), Shareable: a.Spec.SharingKey != ""}
	for i, s := range a.Spec.Services {
		h.Services[i] = types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
	}
	return h
}
