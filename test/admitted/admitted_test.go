package admitted

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/plan"
)

// FuzzPlan: whatever is accepted can be planned from.
func FuzzPlan(f *testing.F) {
	for seed := range uint32(200) {
		f.Add(binary.LittleEndian.AppendUint32(nil, seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		book := NewBook()
		if _, err := book.Fill(NewChoices(input), 30); err != nil {
			t.Fatal(err)
		}
		for _, w := range Unusable(book.Config, plan.Plan(Cluster(book.Config))) {
			t.Errorf("accepted, and the plan says: %s %s: %s: %s", w.Kind, w.Name.Name, w.Reason, w.Message)
		}
	})
}

// TestEveryKindIsAcceptedAndRefused: the generator is worth something only while it makes of every kind what is right
// and what is not.
func TestEveryKindIsAcceptedAndRefused(t *testing.T) {
	accepted, refused := map[string]int{}, map[string]int{}
	items := map[string]int{}
	for seed := range uint32(300) {
		c, book := NewChoices(binary.BigEndian.AppendUint32(nil, seed)), NewBook()
		for range 30 {
			obj, errs, err := book.Write(Text(c))
			if err != nil {
				t.Fatal(err)
			}
			if obj != nil {
				accepted[reflect.TypeOf(obj).Elem().Name()]++
			}
			for _, e := range errs {
				refused[e.Field]++
			}
		}
		for _, item := range Items(plan.Plan(Cluster(book.Config))) {
			items[fmt.Sprintf("%T", item.Content)]++
		}
	}
	for _, gvk := range Kinds() {
		if accepted[gvk.Kind] < 20 {
			t.Errorf("%d objects of kind %s were accepted", accepted[gvk.Kind], gvk.Kind)
		}
	}
	if len(refused) < 20 {
		t.Errorf("fields that were refused: %v", refused)
	}
	if len(items) != 4 { // sessions, routes, layer-2 addresses and guards
		t.Errorf("items that were planned: %v", items)
	}
	t.Logf("accepted %v, items %v", accepted, items)
}
