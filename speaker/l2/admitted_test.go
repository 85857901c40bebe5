package l2

import (
	"encoding/binary"
	"testing"

	"github.com/ingot-lb/ingot/apiserver/plan"
	"github.com/ingot-lb/ingot/test/admitted"
)

// FuzzAdmitted: what the API accepts and the planner makes of it is not refused here.
func FuzzAdmitted(f *testing.F) {
	for seed := range uint32(200) {
		f.Add(binary.LittleEndian.AppendUint32(nil, seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		book := admitted.NewBook()
		if _, err := book.Fill(admitted.NewChoices(input), 30); err != nil {
			t.Fatal(err)
		}
		for _, item := range admitted.Items(plan.Plan(admitted.Cluster(book.Config))) {
			content := item.GetLayer2Address()
			if content == nil {
				continue
			}
			if _, err := new(Speaker).parseOrder(content); err != nil {
				t.Errorf("accepted, planned and refused: %v: %v", content, err)
			}
		}
	})
}
