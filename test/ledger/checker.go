// Package ledger judges from outside what controllers did to addresses: it replays what an etcd held, Services and
// IPAllocations in one order, and says at which revision an address had two owners (design.md, promise 2). It shares no code
// with those whom it judges.
package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// Where etcd keeps what is judged.
const (
	ServicePrefix    = "/registry/services/specs/"
	AllocationPrefix = "/ingot/ledger/"
)

// Checker follows the history.
type Checker struct {
	shown map[string][]string       // addresses by Service
	held  map[string]allocation     // by address
	keys  map[string]string         // address by key of the allocation
	seen  map[string]map[string]int // faults by kind and text, so that one that lasts is said once
	// Faults are what must never be.
	Faults []string
	// Shows and Claims count changes of statuses and of the ledger; Shared those of addresses with several holders.
	Shows, Claims, Shared int
}

type allocation struct {
	Address    string   `json:"address"`
	SharingKey string   `json:"sharingKey"`
	Services   []holder `json:"services"`
}

type holder struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Ports     []struct {
		Protocol string `json:"protocol"`
		Port     int32  `json:"port"`
	} `json:"ports"`
}

// New returns a checker of a history that begins with nothing.
func New() *Checker {
	return &Checker{shown: map[string][]string{}, held: map[string]allocation{}, keys: map[string]string{}, seen: map[string]map[string]int{}}
}

// Step takes in that a key has a value since a revision, or none where value is nil. The changes of one revision must be
// followed by Judge.
func (c *Checker) Step(key string, value []byte) error {
	if name, ok := strings.CutPrefix(key, ServicePrefix); ok {
		return c.service(name, value)
	}
	return c.allocation(key, value)
}

func (c *Checker) service(name string, value []byte) error {
	before := c.shown[name]
	delete(c.shown, name)
	if value != nil {
		obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(value, nil, nil)
		if err != nil {
			return fmt.Errorf("service %s: %w", name, err)
		}
		svc, ok := obj.(*corev1.Service)
		if !ok {
			return fmt.Errorf("service %s is a %T", name, obj)
		}
		var shown []string
		for _, in := range svc.Status.LoadBalancer.Ingress {
			shown = append(shown, in.IP)
		}
		c.shown[name] = shown
	}
	if !slices.Equal(before, c.shown[name]) {
		c.Shows++
	}
	return nil
}

func (c *Checker) allocation(key string, value []byte) error {
	c.Claims++
	if address, ok := c.keys[key]; ok {
		delete(c.held, address)
		delete(c.keys, key)
	}
	if value == nil {
		return nil
	}
	var object struct {
		Spec allocation `json:"spec"`
	}
	if err := json.Unmarshal(value, &object); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	c.held[object.Spec.Address], c.keys[key] = object.Spec, object.Spec.Address
	if len(object.Spec.Services) > 1 {
		c.Shared++
	}
	return nil
}

// Judge looks at the state after a revision.
func (c *Checker) Judge(revision int64) {
	now := map[string]map[string]int{}
	fault := func(kind, text string) {
		if now[kind] == nil {
			now[kind] = map[string]int{}
		}
		now[kind][text]++
		if c.seen[kind][text] == 0 {
			c.Faults = append(c.Faults, fmt.Sprintf("revision %d: %s: %s", revision, kind, text))
		}
	}
	for _, address := range slices.Sorted(maps.Keys(c.held)) {
		if why := clash(c.held[address]); why != "" {
			fault("two owners in the ledger", why)
		}
	}
	byAddress := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(c.shown)) {
		for _, address := range c.shown[name] {
			byAddress[address] = append(byAddress[address], name)
			if !c.holds(address, name) {
				fault("a status shows what the ledger does not have", fmt.Sprintf("%s of %s", address, name))
			}
		}
	}
	for _, address := range slices.Sorted(maps.Keys(byAddress)) {
		if names := byAddress[address]; len(names) > 1 && (c.held[address].SharingKey == "" || slices.ContainsFunc(names, func(n string) bool { return !c.holds(address, n) })) {
			fault("two owners in statuses", fmt.Sprintf("%s of %s", address, strings.Join(names, " and ")))
		}
	}
	c.seen = now
}

func (c *Checker) holds(address, name string) bool {
	return slices.ContainsFunc(c.held[address].Services, func(h holder) bool { return h.Namespace+"/"+h.Name == name })
}

// clash says why the holders of an address do not share it.
func clash(a allocation) string {
	used := map[string]string{}
	for _, h := range a.Services {
		name := h.Namespace + "/" + h.Name
		if len(a.Services) > 1 && a.SharingKey == "" {
			return fmt.Sprintf("%s of %d Services, %s among them, without a sharing key", a.Address, len(a.Services), name)
		}
		for _, p := range h.Ports {
			port := fmt.Sprintf("%s/%d", p.Protocol, p.Port)
			if other, taken := used[port]; taken {
				return fmt.Sprintf("%s of %s of %s and %s", port, a.Address, other, name)
			}
			used[port] = name
		}
	}
	return ""
}

// Unsettled says where statuses and ledger differ in the end.
func (c *Checker) Unsettled() []string {
	var differ []string
	for address, a := range c.held {
		for _, h := range a.Services {
			if name := h.Namespace + "/" + h.Name; !slices.Contains(c.shown[name], address) {
				differ = append(differ, fmt.Sprintf("the ledger has %s of %s, which does not show it", address, name))
			}
		}
	}
	for name, addresses := range c.shown {
		for _, address := range addresses {
			if !c.holds(address, name) {
				differ = append(differ, fmt.Sprintf("%s shows %s, which the ledger does not have", name, address))
			}
		}
	}
	slices.Sort(differ)
	return differ
}
