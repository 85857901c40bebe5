package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// guardKey is the key that every write of the configuration moves.
const guardKey = "/ingot/guard"

// Commit is one object written or deleted.
type Commit struct {
	Revision  int64
	Key       Key
	Deleted   bool
	Operation string // who wrote it, by OpAnnotation
	Spec      Spec
	// Guarded says that the guard moved in the same transaction.
	Guarded bool
}

// Recording is everything that happens in an etcd from its first revision on. Compaction does not harm it.
type Recording struct {
	mu       sync.Mutex
	commits  []Commit
	guard    map[int64]bool // revisions
	revision int64
	err      error
}

// Record watches until ctx ends. It must begin before etcd compacts anything.
func Record(ctx context.Context, client *clientv3.Client) *Recording {
	r := &Recording{guard: map[int64]bool{}}
	end := clientv3.GetPrefixRangeEnd(objectsPrefix)
	watch := client.Watch(clientv3.WithRequireLeader(ctx), guardKey, clientv3.WithRange(end), clientv3.WithRev(1))
	go func() {
		for resp := range watch {
			r.add(resp)
		}
	}()
	return r
}

func (r *Recording) add(resp clientv3.WatchResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := resp.Err(); err != nil && r.err == nil {
		r.err = err
	}
	for _, ev := range resp.Events {
		r.revision = ev.Kv.ModRevision
		if string(ev.Kv.Key) == guardKey {
			r.guard[r.revision] = true
			continue
		}
		if !strings.HasPrefix(string(ev.Kv.Key), objectsPrefix) {
			continue
		}
		c := Commit{Revision: r.revision, Deleted: ev.Type == clientv3.EventTypeDelete}
		var err error
		if c.Key, err = keyOf(string(ev.Kv.Key)); err == nil && !c.Deleted {
			var o Object
			err = json.Unmarshal(ev.Kv.Value, &o)
			c.Spec, c.Operation = o.Spec, o.Metadata.Annotations[OpAnnotation]
		}
		if err != nil && r.err == nil {
			r.err = fmt.Errorf("revision %d: %w", r.revision, err)
		}
		r.commits = append(r.commits, c)
	}
}

// Revision is the last one that was recorded, and what ended or spoilt the recording.
func (r *Recording) Revision() (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revision, r.err
}

// Commits are those recorded so far, in the order of etcd.
func (r *Recording) Commits() []Commit {
	r.mu.Lock()
	defer r.mu.Unlock()
	commits := slices.Clone(r.commits)
	for i := range commits {
		commits[i].Guarded = r.guard[commits[i].Revision]
	}
	return commits
}

// Judge replays commits and says what is wrong with each state, and with each step from one to the next.
func Judge(commits []Commit) []string {
	var faults []string
	c := Configuration{}
	for _, commit := range commits {
		fault := func(what string) {
			faults = append(faults, fmt.Sprintf("revision %d (%s): %s", commit.Revision, commit.Key, what))
		}
		if !commit.Guarded {
			fault("the guard did not move")
		}
		spec := &commit.Spec
		if commit.Deleted {
			spec = nil
			if why := Refusal(c, commit.Key, nil); why != "" {
				fault(why)
			}
		}
		c = c.with(commit.Key, spec)
		if spec != nil {
			for _, v := range Violations(c) {
				fault(v)
			}
		}
	}
	return faults
}
