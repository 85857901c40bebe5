package plan

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// nodeList is the cluster's Nodes, sorted by name; sets of nodes are of positions in it.
type nodeList struct {
	list  []*corev1.Node
	index map[string]int
	// usable are those that neither their condition nor their label excludes.
	usable bitset
	// draining are those that are to be taken out of service.
	draining bitset
	// ignoreLabel is IgnoreExcludeLabel of Input.
	ignoreLabel bool
}

// Drain on a Node, as an annotation with the value "true" or as a taint of any effect and value, takes the node out of
// service until it goes: its layer-2 addresses are handed over to other nodes; its BGP routes are announced with the
// community graceful-shutdown (RFC 8326), and then its sessions are shut.
const Drain = "ingot.io/drain"

// drained says whether a node is to be out of service.
func drained(node *corev1.Node) bool {
	return node.Annotations[Drain] == "true" ||
		slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == Drain })
}

func newNodeList(all []*corev1.Node, ignoreLabel bool, note func(Withheld)) *nodeList {
	n := &nodeList{list: slices.Clone(all), index: make(map[string]int, len(all)), usable: newBitset(len(all)), draining: newBitset(len(all)), ignoreLabel: ignoreLabel}
	slices.SortFunc(n.list, func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	for i, node := range n.list {
		n.index[node.Name] = i
		if drained(node) {
			n.draining.add(i)
		}
		reason, message := n.exclusion(node)
		if reason == "" {
			n.usable.add(i)
			continue
		}
		note(Withheld{
			Kind: KindNode, Name: types.NamespacedName{Name: node.Name}, Node: node.Name,
			Reason: reason, Message: message,
		})
	}
	return n
}

// exclusion says why a node announces nothing (spec.md section 1, point 12; section 5.1, point 5). Whether it is ready or
// cordoned plays no part.
func (n *nodeList) exclusion(node *corev1.Node) (Reason, string) {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable && c.Status == corev1.ConditionTrue {
			return ReasonNodeNetworkUnavailable, fmt.Sprintf("node %s announces nothing: its condition NetworkUnavailable is True", node.Name)
		}
	}
	if _, ok := node.Labels[corev1.LabelNodeExcludeBalancers]; ok && !n.ignoreLabel {
		return ReasonNodeLabeledExcludeBalancers, fmt.Sprintf("node %s announces nothing: it has the label %s", node.Name, corev1.LabelNodeExcludeBalancers)
	}
	return "", ""
}

func (n *nodeList) name(i int) string { return n.list[i].Name }

// some names one node of a set, and how many there are.
func (n *nodeList) some(set bitset) string {
	first, count := "", 0
	for i := range set.members() {
		if count++; count == 1 {
			first = n.name(i)
		}
	}
	if count > 1 {
		return fmt.Sprintf("node %s and %d more", first, count-1)
	}
	return "node " + first
}

// matching is the set of nodes that a list of selectors means.
func (n *nodeList) matching(s selectors) bitset {
	set := newBitset(len(n.list))
	for i, node := range n.list {
		if s.match(node.Labels) {
			set.add(i)
		}
	}
	return set
}
