package segment

import (
	"net/netip"
	"testing"
	"time"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// TestAnAnswerThatIsReadLateIsNoMiss: a process that gets its time late may look at its clock before it reads what came meanwhile.
func TestAnAnswerThatIsReadLateIsNoMiss(t *testing.T) {
	p := pace{interval: time.Second}
	for name, comes := range map[string]bool{"it comes": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			h := newHost(&segment{}, netip.MustParseAddr("192.0.2.1"), ingotv1.WitnessReport_SOURCE_ORDERED)
			asked := time.Hour
			if ask, _ := h.tick(asked, p); !ask {
				t.Fatal("not asked")
			}
			late := h.due + 2*prompt
			if ask, changed := h.tick(late, p); ask || changed || h.misses != 0 || h.due != late+prompt {
				t.Errorf("late: asked %v, changed %v, %d misses, due after %s", ask, changed, h.misses, h.due-late)
			}
			if comes {
				h.answered.Store(int64(asked + rtt))
			}
			ask, changed := h.tick(h.due+2*prompt, p) // late again, which is no reason to wait for ever
			if ask == comes || changed != comes || comes != (h.misses == 0) {
				t.Errorf("afterwards: asked %v, changed %v, %d misses", ask, changed, h.misses)
			}
		})
	}
}
