package rules

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelabels "k8s.io/apimachinery/pkg/labels"
)

// selection is the Nodes that a list of selectors means; an empty list means all.
type selection struct {
	all   bool
	which []kubelabels.Selector
}

func selectionOf(nodeSelectors []metav1.LabelSelector) selection {
	return selection{len(nodeSelectors) == 0, compile(nodeSelectors)}
}

func (s selection) has(n Node) bool { return s.all || matchAny(s.which, n.Labels) }

// share finds a Node that two selections both have. While no Node is known, they are taken to share one, without a name.
func share(a, b selection, nodes []Node) (name string, ok bool) {
	if len(nodes) == 0 {
		return "", true
	}
	for _, n := range nodes {
		if a.has(n) && b.has(n) {
			return n.Name, true
		}
	}
	return "", false
}

// where tells which Node share found.
func where(node string) string {
	if node == "" {
		return "no Node is known yet, so they are taken to share one"
	}
	return "both are for Node " + node
}
