// Package dispatch is the hub between the centre and the speakers (design.md sections 6 to 9).
//
// Every speaker keeps one Connect stream to every replica of the apiserver. The replica that holds the leader key
// plans what each node shall have, and sends the differences; the others listen, so that they know as much when
// their turn comes. One way round:
//
//	store ───► configuration, adoption, decisions ─┐
//	cluster ─► Services, slices, Nodes, Secrets ───┼─► engine ─► desired ─► stream ─► lanes ─► speaker
//	streams ─► facts: connected, lost, holds ──────┘                          ▲ acks, reports │
//	                                                                          └───────────────┘
//
// # The engine
//
// One goroutine plans again whenever an input changed: at once where a layer-2 address waits for it, otherwise after
// 10 ms of quiet and 100 ms at most. Its result, desired, is immutable. New owners of layer-2 addresses are stored, in a transaction that the leader key fences, before
// anything that follows from them is sent. For every item that leaves a node's plan while this process watches, it
// keeps the reason in words: that is what "explained" means to the brake.
//
// # The sync gate
//
// Nothing is sent until this replica leads, has read the configuration and every resource of the cluster
// completely, and has loaded the decisions. Ownership of layer-2 addresses waits until every Node's speaker is back
// or three seconds more, so that speakers can say what they hold before anyone is elected. An empty or half-loaded
// centre sends nothing at all.
//
// # Lanes
//
// A stream has two lanes, each with at most one update unacknowledged; whatever changes meanwhile is one difference
// afterwards. A lane begins with a full state: what the speaker holds with the right digest is listed, not sent. No
// history is kept, so that any replica will do. A lane's state machine has no clock, socket or goroutine in it.
//
// # The brake
//
// It is the speaker that obeys or refuses: by lineage, by epoch, and by how much a full state would drop without
// an explanation. The hub supplies what it judges by. A refusal is remembered as the state of the node, and repeated
// only when the leadership, the adoption or (for a full state held back) the plan has changed. Adopt is the
// operator's word.
//
// # When something is away
//
// Without etcd or the kube-apiserver streams stay open, and what was ordered stays ordered; a lost leadership is told
// to the speakers, and campaigned for again.
package dispatch
