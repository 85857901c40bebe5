package lineage

import (
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	none, ours, theirs := Identity{}, Identity{Lineage: "L"}, Identity{Lineage: "X"}
	restored := Identity{Lineage: "L", EpochBase: 7}
	for _, c := range []struct {
		name  string
		found Identity
		r     Remembered
		want  Action
		why   string
	}{
		{"the first start", none, Remembered{}, Begin, ""},
		{"a consent to give up nothing", none, Remembered{GiveUp: "L"}, Begin, ""},
		{"an empty directory", none, Remembered{Identity: ours}, Refuse, "there is no store"},
		{"given up", none, Remembered{Identity: ours, GiveUp: "L"}, Begin, ""},
		{"another was given up, long ago", none, Remembered{Identity: ours, GiveUp: "K"}, Refuse, "there is no store"},
		{"to be restored", none, Remembered{Identity: ours, Restore: "s"}, Restore, ""},
		{"given up and to be restored", none, Remembered{Identity: ours, GiveUp: "L", Restore: "s"}, Begin, ""},
		{"nothing to be lost, and to be restored", none, Remembered{Restore: "s"}, Begin, ""},
		{"from before this was remembered", ours, Remembered{}, Accept, ""},
		{"the same", ours, Remembered{Identity: ours}, Accept, ""},
		{"the same, and there was a restoration that it has no need of", ours, Remembered{Identity: ours, Restore: "s"}, Accept, ""},
		{"another one", theirs, Remembered{Identity: ours}, Refuse, "of lineage X"},
		{"another one, taken", theirs, Remembered{Identity: ours, GiveUp: "L"}, Accept, ""},
		{"another one, that was itself given up", theirs, Remembered{Identity: ours, GiveUp: "X"}, Refuse, "of lineage X"},
		{"restored since", restored, Remembered{Identity: ours}, Accept, ""},
		{"the copy from before the restoration", ours, Remembered{Identity: restored}, Refuse, "from before"},
		{"that copy, taken", ours, Remembered{Identity: restored, GiveUp: "L"}, Accept, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, why := Judge(c.found, c.r)
			if got != c.want || !strings.Contains(why, c.why) || (why == "") != (got != Refuse) {
				t.Errorf("Judge = %v, %q; want %v, %q", got, why, c.want, c.why)
			}
		})
	}
}
