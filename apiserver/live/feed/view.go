package feed

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/dispatch"
	"github.com/ingot-lb/ingot/apiserver/live"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// unknownStatus is what a state is while nobody can say: the speaker of its node is not connected.
const unknownStatus = "Unknown"

// Labels of the live kinds, as MetalLB has them.
const (
	labelNodeOf           = "metallb.io/node"
	labelServiceName      = "metallb.io/service-name"
	labelServiceNamespace = "metallb.io/service-namespace"
)

// view is what the feed knows of one node.
type view struct {
	node string
	// heard says whether the speaker ever connected to this replica; state is then what it said last.
	heard bool
	state dispatch.NodeState
	// planned are the BGP sessions that the node shall keep; only where it is not known which it keeps.
	planned []*ingotv1.BgpSession
	// started is since when this replica listens.
	started time.Time
	// replica is its name.
	replica string
	// faults are what is wrong with the node's links.
	faults []metallb.SpeakerFault
}

// current says that what is known of the node is how it is.
func (v view) current() bool { return v.state.Connected && v.state.Reported }

// awaySince is when what is known ceased to be how it is.
func (v view) awaySince() time.Time {
	if !v.heard {
		return v.started
	}
	return v.state.Since
}

// perNode keeps the objects of a kind that are about one node each.
type perNode struct {
	set *live.Set
	// objects are those of a node, from nothing but the view.
	objects func(view) []live.Object
	// names are those of the objects of each node.
	names map[string][]string
}

func newPerNode(set *live.Set, objects func(view) []live.Object) *perNode {
	return &perNode{set: set, objects: objects, names: map[string][]string{}}
}

func (k *perNode) update(v view) {
	put := k.objects(v)
	still := make(map[string]bool, len(put))
	names := make([]string, 0, len(put))
	for _, o := range put {
		still[o.GetName()] = true
		names = append(names, o.GetName())
	}
	var gone []string
	for _, name := range k.names[v.node] {
		if !still[name] {
			gone = append(gone, name)
		}
	}
	k.names[v.node] = names
	k.set.Update(put, gone...)
}

// forget takes out the objects of a node that is no more.
func (k *perNode) forget(node string) {
	k.set.Update(nil, k.names[node]...)
	delete(k.names, node)
}

// longestName leaves room for the hash below the 253 characters of a name.
const longestName = 240

// nameOf makes a name of what an object is about. It can be read, and is another one for other parts, also where they
// read the same when they are joined.
func nameOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	text := strings.Join(parts, "-")
	if len(text) > longestName {
		text = strings.TrimRight(text[:longestName], "-.")
	}
	return text + "-" + hex.EncodeToString(sum[:4])
}

// longestLabel is how long the value of a label can be.
const longestLabel = 63

// labelValue makes the value of a label of a text: one that does not fit is left out, and to be selected by its field.
func labelValue(labels map[string]string, key, text string) {
	if len(text) <= longestLabel {
		labels[key] = text
	}
}
