package dispatch

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/ingot-lb/ingot/apiserver/segment"
)

// faultLog knows which faults were told, to tell each once.
type faultLog map[fault]segment.Fault

// fault is what makes one fault another: its sentence may come to name other nodes.
type fault struct {
	node, link string
	reason     segment.Reason
}

// tell logs the faults that have come and gone since it was called last, or only notes them, where another replica says so.
func (l *faultLog) tell(log *slog.Logger, faults iter.Seq2[string, segment.Fault], aloud bool) {
	before := *l
	*l = faultLog{}
	for node, f := range faults {
		(*l)[fault{node, f.Interface, f.Reason}] = f
	}
	if !aloud {
		return
	}
	for _, k := range l.keys() {
		f := (*l)[k]
		if _, known := before[k]; known {
			continue
		}
		level := slog.LevelWarn
		if k.reason == segment.HeldDown {
			level = slog.LevelInfo
		}
		log.Log(context.Background(), level, f.Message, "event", "segmentFault", "node", k.node, "interface", k.link, "reason", string(k.reason), "nodes", strings.Join(f.Nodes, " "))
	}
	for _, k := range before.keys() {
		if _, still := (*l)[k]; !still {
			log.Info("a fault of a node's link has ended", "event", "segmentFaultEnded", "node", k.node, "interface", k.link, "reason", string(k.reason))
		}
	}
}

func (l faultLog) keys() []fault {
	return slices.SortedFunc(maps.Keys(l), func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.link, b.link), cmp.Compare(a.reason, b.reason))
	})
}
