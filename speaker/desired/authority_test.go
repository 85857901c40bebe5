package desired

import (
	"testing"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestAuthority: only who leads in the lineage obeyed says how the program is to run, and nobody who led before.
func TestAuthority(t *testing.T) {
	s := New()
	s.standing = Standing{Lineage: "L", Epoch: 5}
	for what, tt := range map[string]struct {
		welcome *ingotv1.Welcome
		want    bool
	}{
		"leads":           {&ingotv1.Welcome{Lineage: "L", Epoch: 5, Leading: true}, true},
		"does not lead":   {&ingotv1.Welcome{Lineage: "L"}, false},
		"led before":      {&ingotv1.Welcome{Lineage: "L", Epoch: 4, Leading: true}, false},
		"foreign lineage": {&ingotv1.Welcome{Lineage: "M", Epoch: 9, Leading: true}, false},
	} {
		r := NewReplica()
		s.Welcome(r, tt.welcome)
		if got := s.Authority(r); got != tt.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
