package main

import (
	"regexp"
	"testing"

	"github.com/ingot-lb/ingot/test/matrix"
)

// A series goes on with what it lacks, and no node is the victim of one fault in every run.
func TestASeriesGoesOnWhereItWasInterrupted(t *testing.T) {
	faults := matrix.Faults(matrix.Loss)
	o := options{runs: 2, only: regexp.MustCompile(""), loss: matrix.Loss}
	done := []matrix.Record{{Run: 1, Fault: faults[0].Name}, {Run: 2, Fault: faults[1].Name}, {Run: 9, Fault: faults[2].Name}}
	victims := map[string]map[string]bool{}
	todo := jobs(o, done)
	for _, j := range todo {
		if j.run == 1 && j.fault.Name == faults[0].Name || j.run == 2 && j.fault.Name == faults[1].Name {
			t.Errorf("run %d of %q is done again", j.run, j.fault.Name)
		}
		if victims[j.fault.Name] == nil {
			victims[j.fault.Name] = map[string]bool{}
		}
		victims[j.fault.Name][j.victim] = true
	}
	if want := 2*len(faults) - 2; len(todo) != want {
		t.Errorf("%d are to be done, want %d", len(todo), want)
	}
	for _, f := range faults[2:] {
		if len(victims[f.Name]) != 2 {
			t.Errorf("%q happens to %v in two runs, want two nodes", f.Name, victims[f.Name])
		}
	}
	o.only = regexp.MustCompile("^" + regexp.QuoteMeta(faults[2].Name) + "$")
	if todo := jobs(o, nil); len(todo) != 2 {
		t.Errorf("%d are to be done of one fault in two runs", len(todo))
	}
}
