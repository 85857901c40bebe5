package rules

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/google/btree"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubelabels "k8s.io/apimachinery/pkg/labels"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// poolSelection is the pools that an advertisement means: those it names and those whose labels it selects; all when
// it does neither.
type poolSelection struct {
	all     bool
	names   map[string]bool
	byLabel []kubelabels.Selector
}

func newPoolSelection(names []string, selectors []metav1.LabelSelector) poolSelection {
	s := poolSelection{all: len(names) == 0 && len(selectors) == 0, byLabel: compile(selectors)}
	s.names = set(names)
	return s
}

func (s *poolSelection) selects(p *metallb.IPAddressPool) bool {
	return s.all || s.names[p.Name] || matchAny(s.byLabel, p.Labels)
}

// compile leaves out selectors that are not valid: what does not parse matches nothing.
func compile(list []metav1.LabelSelector) []kubelabels.Selector {
	var compiled []kubelabels.Selector
	for i := range list {
		if s, err := metav1.LabelSelectorAsSelector(&list[i]); err == nil {
			compiled = append(compiled, s)
		}
	}
	return compiled
}

func matchAny(selectors []kubelabels.Selector, of map[string]string) bool {
	return slices.ContainsFunc(selectors, func(s kubelabels.Selector) bool { return s.Matches(kubelabels.Set(of)) })
}

func set(values []string) map[string]bool {
	made := make(map[string]bool, len(values))
	for _, v := range values {
		made[v] = true
	}
	return made
}

// pools are pools that can be found by name and by label. It is never changed; its successors share its nodes, so that
// a change of one pool costs the same among few and among many.
type pools struct {
	byName  *btree.BTreeG[namedPool]
	byLabel *btree.BTreeG[tag]
}

type namedPool struct {
	name string
	*pool
}

// tag is one label of one pool.
type tag struct {
	label
	namedPool
}

// degree of the trees: what it costs to copy a node is little beside finding it.
const degree = 16

func newPools() pools {
	return pools{
		byName: btree.NewG(degree, func(a, b namedPool) bool { return a.name < b.name }),
		byLabel: btree.NewG(degree, func(a, b tag) bool {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.value, b.value), cmp.Compare(a.name, b.name)) < 0
		}),
	}
}

func (l pools) replace(gone, come []*pool) pools {
	if len(gone) == 0 && len(come) == 0 {
		return l
	}
	next := pools{l.byName.Clone(), l.byLabel.Clone()}
	for _, p := range gone {
		next.byName.Delete(namedPool{name: p.Name})
		for k, v := range p.Labels {
			next.byLabel.Delete(tag{label{k, v}, namedPool{name: p.Name}})
		}
	}
	for _, p := range come {
		next.byName.ReplaceOrInsert(namedPool{p.Name, p})
		for k, v := range p.Labels {
			next.byLabel.ReplaceOrInsert(tag{label{k, v}, namedPool{p.Name, p}})
		}
	}
	return next
}

func (l pools) find(name string) (*pool, bool) {
	p, ok := l.byName.Get(namedPool{name: name})
	return p.pool, ok
}

func (l pools) has(name string) bool { return l.byName.Has(namedPool{name: name}) }

func (l pools) len() int { return l.byName.Len() }

// all lists the pools by name.
func (l pools) all(yield func(*pool) bool) {
	l.byName.Ascend(func(p namedPool) bool { return yield(p.pool) })
}

// selected lists the pools of a selection, each once. Its cost is that of what it lists, but for selectors that ask
// for no value of a label.
func (l pools) selected(s *poolSelection) iter.Seq[*pool] {
	if s.all {
		return l.all
	}
	return func(yield func(*pool) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.names)) {
			if p, ok := l.find(name); ok && !yield(p) {
				return
			}
		}
		for i, selector := range s.byLabel {
			for p := range l.candidates(selector) {
				labels := kubelabels.Set(p.Labels)
				if !selector.Matches(labels) || s.names[p.Name] || matchAny(s.byLabel[:i], labels) {
					continue
				}
				if !yield(p) {
					return
				}
			}
		}
	}
}

// any says whether a selection has a pool.
func (l pools) any(s *poolSelection) bool {
	for range l.selected(s) {
		return true
	}
	return false
}

// candidates lists pools among which are all that the selector matches, each once.
func (l pools) candidates(selector kubelabels.Selector) iter.Seq[*pool] {
	wanted, some := wantedBy(selector)
	if !some {
		return l.all
	}
	return func(yield func(*pool) bool) {
		more := true
		for _, w := range wanted {
			l.byLabel.AscendGreaterOrEqual(tag{label: w}, func(t tag) bool {
				if t.label != w {
					return false
				}
				more = yield(t.pool)
				return more
			})
			if !more {
				return
			}
		}
	}
}
