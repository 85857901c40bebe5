package guard

import (
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/go-cmp/cmp"
)

func TestViolations(t *testing.T) {
	pool := func(a ...string) Spec { return Spec{Addresses: a} }
	ad := func(length, pref int, pools ...string) Spec {
		return Spec{AggregationLength: length, LocalPref: pref, IPAddressPools: pools}
	}
	peer := func(address string, asn int, id string) Spec {
		return Spec{PeerAddress: address, MyASN: asn, RouterID: id}
	}
	tests := map[string]struct {
		c    Configuration
		says string // empty: right
	}{
		"nothing":        {nil, ""},
		"neighbours":     {Configuration{{Pools, "a"}: pool("10.0.0.0/25"), {Pools, "b"}: pool("10.0.0.128/25")}, ""},
		"overlap":        {Configuration{{Pools, "a"}: pool("10.0.0.0/24"), {Pools, "b"}: pool("10.0.0.128/25")}, "overlaps"},
		"within":         {Configuration{{Pools, "a"}: pool("10.0.0.0/24", "10.0.0.128/25")}, "overlaps"},
		"wide enough":    {Configuration{{Pools, "a"}: pool("10.0.0.0/26"), {Advertisements, "x"}: ad(26, 100, "a")}, ""},
		"too narrow":     {Configuration{{Pools, "a"}: pool("10.0.0.0/27"), {Advertisements, "x"}: ad(26, 100, "a")}, "reaches beyond"},
		"no such pool":   {Configuration{{Advertisements, "x"}: ad(26, 100, "a"), {Advertisements, "y"}: ad(26, 200, "a")}, ""},
		"contradiction":  {Configuration{{Pools, "a"}: pool("10.0.0.0/24"), {Advertisements, "x"}: ad(26, 100, "a"), {Advertisements, "y"}: ad(26, 200, "b", "a")}, "localPref"},
		"other routes":   {Configuration{{Pools, "a"}: pool("10.0.0.0/24"), {Advertisements, "x"}: ad(26, 100, "a"), {Advertisements, "y"}: ad(28, 200, "a")}, ""},
		"peers":          {Configuration{{Peers, "a"}: peer("192.0.2.1", 1, "1.1.1.1"), {Peers, "b"}: peer("192.0.2.2", 1, "1.1.1.1")}, ""},
		"same router":    {Configuration{{Peers, "a"}: peer("192.0.2.1", 1, "1.1.1.1"), {Peers, "b"}: peer("192.0.2.1", 1, "1.1.1.1")}, "same router"},
		"two router IDs": {Configuration{{Peers, "a"}: peer("192.0.2.1", 1, "1.1.1.1"), {Peers, "b"}: peer("192.0.2.2", 1, "1.1.1.2")}, "routerID"},
		"two AS numbers": {Configuration{{Peers, "a"}: peer("192.0.2.1", 1, "1.1.1.1"), {Peers, "b"}: peer("192.0.2.2", 2, "1.1.1.1")}, "myASN"},
	}
	for name, tt := range tests {
		got := strings.Join(Violations(tt.c), "; ")
		if (got == "") != (tt.says == "") || !strings.Contains(got, tt.says) {
			t.Errorf("%s: got %q, want %q", name, got, tt.says)
		}
	}
}

func TestProfileInUseStays(t *testing.T) {
	c := Configuration{{Profiles, "fast"}: {DetectMultiplier: 3}, {Peers, "a"}: {PeerAddress: "192.0.2.1", BFDProfile: "fast"}}
	if got := Refusal(c, Key{Profiles, "fast"}, nil); !strings.Contains(got, "in use by bgppeers/a") {
		t.Errorf("delete: %q", got)
	}
	if got := Refusal(c.with(Key{Peers, "a"}, nil), Key{Profiles, "fast"}, nil); got != "" {
		t.Errorf("delete of an unused one: %q", got)
	}
}

// op is an operation between two moments; version 0 is that of a refusal.
func op(id int, verb Verb, name, address string, called, returned, version int64, reason string) Operation {
	o := Operation{ID: id, Writer: id, Verb: verb, Key: Key{Pools, name}, Called: called, Returned: returned, Version: version, Reason: reason}
	if verb != Get && verb != Delete {
		o.Spec.Addresses = []string{address}
	}
	if reason == "" {
		o.Result.Addresses = []string{address}
	}
	return o
}

func TestWitness(t *testing.T) {
	web := op(1, Create, "web", "10.0.0.0/24", 1, 4, 7, "")
	tests := map[string]struct {
		history []Operation
		want    porcupine.CheckResult
	}{
		"one after the other":               {[]Operation{web, op(2, Create, "db", "10.0.1.0/24", 5, 6, 8, "")}, porcupine.Ok},
		"refused beside what it overlaps":   {[]Operation{web, op(2, Create, "db", "10.0.0.0/25", 2, 3, 0, Invalid)}, porcupine.Ok},
		"refused before what it overlaps":   {[]Operation{web, op(2, Create, "db", "10.0.0.0/25", 0, 0, 0, Invalid)}, porcupine.Illegal},
		"accepted beside what it overlaps":  {[]Operation{web, op(2, Create, "db", "10.0.0.0/25", 2, 3, 8, "")}, porcupine.Illegal},
		"refused without a reason":          {[]Operation{web, op(2, Create, "db", "10.0.1.0/25", 2, 3, 0, Invalid)}, porcupine.Illegal},
		"committed before it was called":    {[]Operation{web, op(2, Create, "db", "10.0.1.0/24", 5, 6, 6, "")}, porcupine.Illegal},
		"read of what is there":             {[]Operation{web, op(2, Get, "web", "10.0.0.0/24", 5, 6, 7, "")}, porcupine.Ok},
		"read of the past":                  {[]Operation{web, op(2, Get, "web", "", 5, 6, 0, NotFound)}, porcupine.Illegal},
		"read that goes back":               {[]Operation{op(1, Create, "web", "10.0.0.0/24", 1, 9, 7, ""), op(2, Get, "web", "10.0.0.0/24", 2, 3, 7, ""), op(3, Get, "web", "", 4, 5, 0, NotFound)}, porcupine.Illegal},
		"asked to come back":                {[]Operation{web, op(2, Create, "db", "10.0.1.0/25", 2, 3, 0, TooManyRequests)}, porcupine.Ok},
		"deleted, then its range is free":   {[]Operation{web, op(2, Delete, "web", "10.0.0.0/24", 5, 6, 8, ""), op(3, Create, "db", "10.0.0.0/25", 5, 6, 9, "")}, porcupine.Ok},
		"its range is free, then deleted":   {[]Operation{web, op(2, Delete, "web", "10.0.0.0/24", 5, 6, 9, ""), op(3, Create, "db", "10.0.0.0/25", 5, 6, 8, "")}, porcupine.Illegal},
		"exists, though another is first":   {[]Operation{web, op(2, Create, "web", "10.0.1.0/24", 2, 3, 0, AlreadyExists)}, porcupine.Ok},
		"update of what is there no longer": {[]Operation{web, op(2, Update, "web", "10.0.1.0/24", 5, 6, 0, Conflict)}, porcupine.Ok},
	}
	for name, tt := range tests {
		history, faults := Witness(tt.history)
		if got := porcupine.CheckOperationsTimeout(Sequential, history, time.Minute); got != tt.want {
			t.Errorf("%s: %s, want %s; %v", name, got, tt.want, faults)
		}
	}
}

func TestSettle(t *testing.T) {
	lost := func(o Operation) Operation { o.Reason, o.Version, o.Result = Unknown, 0, Spec{}; return o }
	web := op(1, Create, "web", "10.0.0.0/24", 1, 4, 7, "")
	put := func(revision int64, name, by string) Commit {
		return Commit{Revision: revision, Key: Key{Pools, name}, Operation: by, Guarded: true, Spec: Spec{Addresses: []string{"10.0.0.0/24"}}}
	}
	gone := func(revision int64, name string) Commit {
		return Commit{Revision: revision, Key: Key{Pools, name}, Deleted: true, Guarded: true}
	}
	tests := map[string]struct {
		operations []Operation
		commits    []Commit
		settled    []int64 // versions
		faulty     bool
	}{
		"answered":                     {[]Operation{web}, []Commit{put(7, "web", "1")}, []int64{7}, false},
		"lost, and it happened":        {[]Operation{lost(web)}, []Commit{put(7, "web", "1")}, []int64{7}, false},
		"lost, and it did not happen":  {[]Operation{lost(web)}, nil, []int64{}, false},
		"answered, but not written":    {[]Operation{web}, nil, []int64{7}, true},
		"written by nobody":            {nil, []Commit{put(7, "web", "1")}, []int64{}, true},
		"refused, but written":         {[]Operation{op(1, Create, "web", "10.0.0.0/24", 1, 4, 0, Invalid)}, []Commit{put(7, "web", "1")}, []int64{0}, true},
		"one of two deletions is lost": {[]Operation{web, lost(op(2, Delete, "web", "", 5, 6, 0, "")), op(3, Delete, "web", "", 5, 6, 0, NotFound)}, []Commit{put(7, "web", "1"), gone(8, "web")}, []int64{7, 8, 0}, false},
	}
	for name, tt := range tests {
		settled, faults := Settle(tt.operations, tt.commits)
		versions := []int64{}
		for _, o := range settled {
			versions = append(versions, o.Version)
		}
		if diff := cmp.Diff(tt.settled, versions); diff != "" || (len(faults) > 0) != tt.faulty {
			t.Errorf("%s: faults %v, versions (-want +got):\n%s", name, faults, diff)
		}
	}
}

func TestJudgeLooksAtEveryState(t *testing.T) {
	put := func(revision int64, name, address string) Commit {
		return Commit{Revision: revision, Key: Key{Pools, name}, Spec: Spec{Addresses: []string{address}}, Guarded: true}
	}
	passing := []Commit{put(2, "a", "10.0.0.0/24"), put(3, "b", "10.0.0.0/25"), {Revision: 4, Key: Key{Pools, "b"}, Deleted: true, Guarded: true}}
	if faults := Judge(passing); len(faults) != 1 || !strings.Contains(faults[0], "revision 3 (ipaddresspools/b)") {
		t.Errorf("a state that was wrong for one revision: %q", faults)
	}
	unmoved := put(2, "a", "10.0.0.0/24")
	unmoved.Guarded = false
	if faults := Judge([]Commit{unmoved}); len(faults) != 1 || !strings.Contains(faults[0], "guard") {
		t.Errorf("a write past the guard: %q", faults)
	}
	profile := Commit{Revision: 2, Key: Key{Profiles, "fast"}, Spec: Spec{DetectMultiplier: 3}, Guarded: true}
	user := Commit{Revision: 3, Key: Key{Peers, "a"}, Spec: Spec{PeerAddress: "192.0.2.1", BFDProfile: "fast"}, Guarded: true}
	deleted := Commit{Revision: 4, Key: profile.Key, Deleted: true, Guarded: true}
	if faults := Judge([]Commit{profile, user, deleted}); len(faults) != 1 || !strings.Contains(faults[0], "in use") {
		t.Errorf("a profile that is in use is deleted: %q", faults)
	}
}
