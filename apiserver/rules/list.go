package rules

import (
	"cmp"
	"slices"
	"sort"
)

// replace returns list, which is sorted, without gone, all of which are in it, and with come. The list is not changed.
func replace[E comparable](list, gone, come []E, compare func(a, b E) int) []E {
	if len(gone) == 0 && len(come) == 0 {
		return list
	}
	leave := make([]int, 0, len(gone))
	for _, e := range gone {
		at, _ := slices.BinarySearchFunc(list, e, compare)
		for ; at < len(list) && compare(list[at], e) == 0; at++ {
			if list[at] == e {
				leave = append(leave, at)
				break
			}
		}
	}
	slices.Sort(leave)
	come = slices.SortedFunc(slices.Values(come), compare)

	made := make([]E, 0, len(list)-len(leave)+len(come))
	done := 0 // so much of list is in made, or left out
	upTo := func(end int) {
		made = append(made, list[done:end]...)
		done = end
	}
	for _, e := range come {
		at, _ := slices.BinarySearchFunc(list[done:], e, compare)
		for at += done; len(leave) > 0 && leave[0] < at; leave = leave[1:] {
			upTo(leave[0])
			done++
		}
		upTo(max(at, done))
		made = append(made, e)
	}
	for _, at := range leave {
		upTo(at)
		done++
	}
	upTo(len(list))
	return made
}

// object is what has the name of a stored object.
type object interface {
	comparable
	GetName() string
}

// byName is a sorted list of what was worked out of the objects of one kind. It is never changed.
type byName[E object] []E

func (l byName[E]) replace(gone, come []E) byName[E] {
	return replace(l, gone, come, func(a, b E) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

// find returns the element with the name, or the zero one.
func (l byName[E]) find(name string) (e E, ok bool) {
	i := sort.Search(len(l), func(i int) bool { return l[i].GetName() >= name })
	if i == len(l) || l[i].GetName() != name {
		return e, false
	}
	return l[i], true
}

func (l byName[E]) has(name string) bool {
	_, ok := l.find(name)
	return ok
}

// turnover is what of was is no more, and what of now is new. The lists of two configurations are sorted alike: all
// that they have in common at the beginning and at the end is passed over quickly.
func turnover[O comparable](was, now []O) (gone, come []O) {
	shorter := min(len(was), len(now))
	head := 0
	for head < shorter && was[head] == now[head] {
		head++
	}
	tail := 0
	for tail < shorter-head && was[len(was)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	was, now = was[head:len(was)-tail], now[head:len(now)-tail]
	before, after := make(map[O]bool, len(was)), make(map[O]bool, len(now))
	for _, o := range was {
		before[o] = true
	}
	for _, o := range now {
		after[o] = true
		if !before[o] {
			come = append(come, o)
		}
	}
	for _, o := range was {
		if !after[o] {
			gone = append(gone, o)
		}
	}
	return gone, come
}

// finder finds what was worked out of an object by the object's name.
type finder[E any] interface{ find(name string) (E, bool) }

// changes is what comes into a list and what leaves it when the objects change that it was worked out of.
func changes[O object, E object](l finder[E], was, now []O, work func(O) E) (gone, come []E) {
	left, entered := turnover(was, now)
	for _, o := range left {
		if e, ok := l.find(o.GetName()); ok {
			gone = append(gone, e)
		}
	}
	for _, o := range entered {
		come = append(come, work(o))
	}
	return gone, come
}
