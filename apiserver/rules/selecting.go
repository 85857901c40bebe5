package rules

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sort"

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

// pools are pools that can be found by name and by label. It is never changed.
type pools struct {
	byName[*pool]
	byLabel []*tag
}

// tag is one label of one pool.
type tag struct {
	label
	pool *pool
}

func (t *tag) compare(o *tag) int {
	return cmp.Or(cmp.Compare(t.key, o.key), cmp.Compare(t.value, o.value), cmp.Compare(t.pool.Name, o.pool.Name))
}

func (l pools) replace(gone, come []*pool) pools {
	tags := func(of []*pool) (all []*tag) {
		for _, p := range of {
			all = append(all, p.tags...)
		}
		return all
	}
	return pools{l.byName.replace(gone, come), replace(l.byLabel, tags(gone), tags(come), (*tag).compare)}
}

// selected lists the pools of a selection, each once. Its cost is that of what it lists, but for selectors that ask
// for no value of a label.
func (l pools) selected(s *poolSelection) iter.Seq[*pool] {
	if s.all {
		return slices.Values(l.byName)
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

// candidates lists pools among which are all that the selector matches, each once.
func (l pools) candidates(selector kubelabels.Selector) iter.Seq[*pool] {
	wanted, some := wantedBy(selector)
	if !some {
		return slices.Values(l.byName)
	}
	return func(yield func(*pool) bool) {
		for _, w := range wanted {
			from := sort.Search(len(l.byLabel), func(i int) bool {
				t := l.byLabel[i]
				return cmp.Or(cmp.Compare(t.key, w.key), cmp.Compare(t.value, w.value)) >= 0
			})
			for _, t := range l.byLabel[from:] {
				if t.label != w {
					break
				}
				if !yield(t.pool) {
					return
				}
			}
		}
	}
}
