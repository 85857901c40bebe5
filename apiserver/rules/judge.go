package rules

import (
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// Host tells what decides about a change and is not configuration. Each answer is what is known at that moment.
type Host interface {
	// Nodes are those of the cluster. As long as nothing about them changes it is the same slice, so that what was
	// worked out of it can be kept.
	Nodes() []Node
	// Secret is the Secret of that name in the system namespace, as Secrets tells.
	Secret(name string) (secret *corev1.Secret, known bool)
	Holders() []Holder
	// Terminating says whether the system namespace is being deleted.
	Terminating() bool
}

// Judge checks one change after the other. It says what Check says; what it worked out of the last configuration it
// keeps, so that a change costs what differs between two configurations. It may be used concurrently.
type Judge struct {
	host    Host
	working sync.Mutex
	last    atomic.Pointer[index]
	cluster atomic.Pointer[cluster]
}

// NewJudge returns a judge that asks host for what is not in the change; nil is a host of which nothing is known.
func NewJudge(host Host) *Judge { return &Judge{host: host} }

// Check is the package's Check, with the host's part of the change filled in, but for Holders.
func (j *Judge) Check(c *metallb.Configuration, ch Change) (field.ErrorList, []string) {
	switch {
	case j.host == nil:
	case deletes(ch):
		ch.Terminating = j.host.Terminating()
	default:
		ch.Nodes, ch.Secrets = j.host.Nodes(), j.host.Secret
	}
	return j.indexOf(c).check(ch, j.clusterOf(ch.Nodes))
}

// Holders are the Services that hold addresses, for those who show warnings of deletions.
func (j *Judge) Holders() []Holder {
	if j.host == nil {
		return nil
	}
	return j.host.Holders()
}

func (j *Judge) indexOf(c *metallb.Configuration) *index {
	last := j.last.Load()
	switch {
	case c == nil: // nothing to remember
		return (*index)(nil).next(nil)
	case last != nil && last.config == c:
		return last
	}
	j.working.Lock() // what an index shares with the next one is taken from it by one at a time
	defer j.working.Unlock()
	if last = j.last.Load(); last == nil || last.config != c {
		last = last.next(c)
		j.last.Store(last)
	}
	return last
}

func (j *Judge) clusterOf(nodes []Node) *cluster {
	last := j.cluster.Load()
	if last != nil && len(nodes) > 0 && len(nodes) == len(last.nodes) && &nodes[0] == &last.nodes[0] {
		return last
	}
	next := newCluster(nodes)
	j.cluster.Store(next)
	return next
}

// Terminating says whether the system namespace is being deleted.
func (j *Judge) Terminating() bool { return j.host != nil && j.host.Terminating() }
