package agent

import (
	"sync"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// resultsPerMessage keeps a report well below what gRPC takes as one message.
const resultsPerMessage = 5000

// outbox holds what a stream has yet to send. It is bounded: heartbeats and reports are replaced by newer ones, and
// acknowledgements are at most as many as updates that the stream let in.
type outbox struct {
	wake chan struct{}

	mu        sync.Mutex
	heartbeat *ingotv1.Heartbeat
	acks      []*ingotv1.Ack
	pending   *ingotv1.Report
	leaving   bool
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// beat answers a heartbeat; an unanswered older one is not worth answering any more.
func (o *outbox) beat(hb *ingotv1.Heartbeat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heartbeat = hb
	o.signal()
}

func (o *outbox) ack(ack *ingotv1.Ack) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acks = append(o.acks, ack)
	o.signal()
}

// report sends r, or, when an earlier report is still waiting, everything at once: full, and the results of both.
func (o *outbox) report(r, full *ingotv1.Report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pending != nil {
		results := mergeResults(mergeResults(full.GetResults(), o.pending.GetResults()), r.GetResults())
		r = with(full, results, o.pending.GetStanding())
	}
	o.pending = r
	o.signal()
}

// add sends results and the standing, with the report that is waiting if there is one.
func (o *outbox) add(r *ingotv1.Report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.pending; p != nil {
		standing := r.GetStanding()
		if standing == nil {
			standing = p.GetStanding()
		}
		r = with(p, mergeResults(p.GetResults(), r.GetResults()), standing)
	}
	o.pending = r
	o.signal()
}

// leave says, with a report of its own and all that follow, that the speaker is about to stop.
func (o *outbox) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.leaving {
		return
	}
	o.leaving = true
	if o.pending == nil {
		o.pending = &ingotv1.Report{}
	}
	o.signal()
}

// acked says whether no acknowledgement waits.
func (o *outbox) acked() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.acks) == 0
}

// next takes what is most urgent; nil when there is nothing.
func (o *outbox) next() *ingotv1.ConnectRequest {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.heartbeat != nil:
		hb := o.heartbeat
		o.heartbeat = nil
		return &ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Heartbeat{Heartbeat: hb}}
	case len(o.acks) > 0:
		ack := o.acks[0]
		o.acks = o.acks[1:]
		return &ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Ack{Ack: ack}}
	case o.pending != nil:
		r := o.pending
		o.pending = nil
		if results := r.GetResults(); len(results) > resultsPerMessage {
			o.pending = &ingotv1.Report{Results: results[resultsPerMessage:]}
			r = with(r, results[:resultsPerMessage], r.GetStanding())
		}
		if o.leaving {
			r = with(r, r.GetResults(), r.GetStanding()) // others have r, too
			r.Leaving = true
		}
		return &ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Report{Report: r}}
	}
	return nil
}
