package rules

import (
	"math/bits"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelabels "k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// cluster is the Nodes that decide which objects meet. Where none is known, there is one without name and labels that
// everything is for: any two objects are taken to share a Node.
type cluster struct {
	nodes []Node
	// byLabel lists the nodes that have a label, and is made when it is first asked for.
	byLabel func() map[label][]int
}

type label struct{ key, value string }

// anywhere is the cluster of which no Node is known.
var anywhere = &cluster{}

func newCluster(nodes []Node) *cluster {
	if len(nodes) == 0 {
		return anywhere
	}
	return &cluster{nodes: nodes, byLabel: sync.OnceValue(func() map[label][]int {
		made := map[label][]int{}
		for i, n := range nodes {
			for k, v := range n.Labels {
				made[label{k, v}] = append(made[label{k, v}], i)
			}
		}
		return made
	})}
}

// name is that of the i-th Node; empty where none is known.
func (c *cluster) name(i int) string {
	if c == anywhere {
		return ""
	}
	return c.nodes[i].Name
}

// nodeSet is a set of a cluster's Nodes, as bits.
type nodeSet []uint64

func (s nodeSet) add(i int) { s[i/64] |= 1 << (i % 64) }

// shared finds the first Node of two sets of one cluster.
func (s nodeSet) shared(o nodeSet) (node int, ok bool) {
	for i, word := range s {
		if both := word & o[i]; both != 0 {
			return i*64 + bits.TrailingZeros64(both), true
		}
	}
	return 0, false
}

// placement is the Nodes that a list of node selectors means; an empty list means all. It remembers those of the last
// cluster that it was asked about.
type placement struct {
	all   bool
	which []kubelabels.Selector
	last  atomic.Pointer[placed]
}

type placed struct {
	on  *cluster
	set nodeSet
}

func newPlacement(nodeSelectors []metav1.LabelSelector) *placement {
	return &placement{all: len(nodeSelectors) == 0, which: compile(nodeSelectors)}
}

func (p *placement) on(c *cluster) nodeSet {
	if last := p.last.Load(); last != nil && last.on == c {
		return last.set
	}
	set := p.find(c)
	p.last.Store(&placed{c, set})
	return set
}

func (p *placement) find(c *cluster) nodeSet {
	if c == anywhere {
		return nodeSet{1}
	}
	set := make(nodeSet, (len(c.nodes)+63)/64)
	if p.all {
		for i := range c.nodes {
			set.add(i)
		}
		return set
	}
	for _, s := range p.which {
		wanted, some := wantedBy(s)
		if !some {
			for i, n := range c.nodes {
				if s.Matches(kubelabels.Set(n.Labels)) {
					set.add(i)
				}
			}
			continue
		}
		for _, w := range wanted {
			for _, i := range c.byLabel()[w] {
				if s.Matches(kubelabels.Set(c.nodes[i].Labels)) {
					set.add(i)
				}
			}
		}
	}
	return set
}

// wantedBy lists labels of which whatever the selector matches has exactly one; not every selector has such.
func wantedBy(s kubelabels.Selector) (labels []label, some bool) {
	requirements, _ := s.Requirements()
	for i := range requirements {
		r := &requirements[i]
		switch r.Operator() {
		case selection.In, selection.Equals, selection.DoubleEquals:
			if values := r.ValuesUnsorted(); !some || len(values) < len(labels) {
				labels, some = labels[:0], true
				for _, v := range values {
					labels = append(labels, label{r.Key(), v})
				}
			}
		}
	}
	return labels, some
}

// share finds a Node that two placements both have. While no Node is known it has no name.
func share(a, b *placement, c *cluster) (node string, ok bool) {
	i, ok := a.on(c).shared(b.on(c))
	if !ok {
		return "", false
	}
	return c.name(i), true
}

// where tells which Node share found.
func where(node string) string {
	if node == "" {
		return "no Node is known yet, so they are taken to share one"
	}
	return "both are for Node " + node
}
