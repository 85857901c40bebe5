package dispatch

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/plan"
	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// acknowledge takes the answer to an update.
func (s *stream) acknowledge(ack *ingotv1.Ack, now time.Time) error {
	l, ok := s.lanes[ack.GetLane()]
	if !ok {
		return status.Errorf(codes.InvalidArgument, "ack in lane %s", ack.GetLane())
	}
	if ack.GetNonce() < l.nonce && (l.inflight == nil || ack.GetNonce() != l.inflight.GetNonce()) {
		return nil // a duplicate of an answer taken before
	}
	outcomes, err := l.acknowledged(ack, now)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	s.hub.nodes.setObeyed(s, ack)
	s.hub.log.Debug("update answered", "op", "update", "node", s.node.name, "lane", laneName(l.id), "nonce", ack.GetNonce(),
		"results", len(ack.GetResults()), "refusal", ack.GetMessage())
	if l.refused != nil {
		s.refusedBy(l)
	} else if l.sequence == nil {
		s.hub.nodes.obeyed(s, l.id)
	}
	s.settle(l.id, outcomes)
	s.hub.nodes.setUnacked(s, l.id, time.Time{}) // last: who finds nothing unanswered finds what was answered
	return nil
}

// refusedBy makes a refusal the state of the node, and says so once.
func (s *stream) refusedBy(l *lane) {
	if s.hub.nodes.setRefusal(s, l.id, l.refused) {
		s.hub.log.Warn(refusalWords[l.refused.kind], "event", "updateRefused", "node", s.node.name, "lane", laneName(l.id),
			"refusal", l.refused.kind.String(), "said", l.refused.message, "lineage", s.hub.store.Lineage(), "epoch", l.refused.epoch)
	}
}

// refusalWords say what a refusal means and what to do.
var refusalWords = map[ingotv1.Refusal]string{
	ingotv1.Refusal_REFUSAL_FOREIGN_LINEAGE: `the speaker obeys another store and goes on announcing what that one ordered; if this store replaces it, restore the configuration, then run "apiserver adopt"`,
	ingotv1.Refusal_REFUSAL_OLD_EPOCH:       `the speaker has obeyed a later leader of this store; another replica leads, or the store was restored from a backup: if so, run "apiserver adopt"`,
	ingotv1.Refusal_REFUSAL_HELD_BACK:       `the speaker holds back a full state that would drop too much without a deletion that explains it; if it is meant, run "apiserver adopt"`,
}

// settle tells everyone concerned what became of items.
func (s *stream) settle(id ingotv1.Lane, outcomes []outcome) {
	if len(outcomes) == 0 {
		return
	}
	for _, o := range outcomes {
		if !o.removed && o.status == ingotv1.ItemResult_STATUS_REJECTED {
			s.hub.metrics.rejects.WithLabelValues(laneName(id)).Inc()
		}
	}
	begun, failures := s.hub.nodes.settle(s, outcomes)
	for _, f := range failures {
		s.hub.log.Warn("the node cannot do what an item says", "event", "itemFailed", "node", s.node.name, "item", f.id, "reason", f.why)
		if s.welcome != 0 {
			s.announceFailed(f)
		}
	}
	for _, a := range begun {
		if service, ok := s.hub.cluster.Service(a.service); ok && s.welcome != 0 {
			s.hub.events.NodeAssigned(service, s.node.name, string(a.protocol))
		}
	}
}

// announceFailed says to the Services of an item that the node does not announce them.
func (s *stream) announceFailed(f failure) {
	for _, ref := range plan.ServiceRefs(f.item) {
		name := types.NamespacedName{Namespace: ref.GetNamespace(), Name: ref.GetName()}
		if service, ok := s.hub.cluster.Service(name); ok {
			s.hub.events.AnnounceFailed(service, s.node.name, f.message(ref.GetAddress(), s.node.name))
		}
	}
}

// report takes what the node observes.
func (s *stream) report(r *ingotv1.Report, now time.Time) {
	s.hub.nodes.observe(s, r, now)
	if r.GetFull() && s.welcome == 0 {
		s.hub.nodes.onlyRejected(s, r.GetResults())
	}
	outcomes := map[ingotv1.Lane][]outcome{}
	for _, result := range r.GetResults() {
		id := plan.LaneOf(result.GetId())
		if o, ok := s.lanes[id].reported(result, s.welcome); ok {
			outcomes[id] = append(outcomes[id], o)
		}
	}
	for id, some := range outcomes {
		s.settle(id, some)
	}
}
