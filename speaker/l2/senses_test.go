package l2

import (
	"testing"

	"github.com/ingot-lb/ingot/speaker/l2/ownership"
)

func TestThereAreNoEndpointsOnceEveryPortSaysSo(t *testing.T) {
	const (
		silent = iota // does not answer
		none
		some
	)
	tests := map[string]struct {
		ports []uint32
		want  ownership.Endpoints
	}{
		"no port":         {nil, ownership.Endpoints{}},
		"none":            {[]uint32{none}, ownership.Endpoints{Known: true}},
		"some":            {[]uint32{some}, ownership.Endpoints{Known: true, Here: true}},
		"silent":          {[]uint32{silent}, ownership.Endpoints{}},
		"none and some":   {[]uint32{none, some}, ownership.Endpoints{Known: true, Here: true}},
		"silent and some": {[]uint32{silent, some}, ownership.Endpoints{Known: true, Here: true}},
		"none and silent": {[]uint32{none, silent}, ownership.Endpoints{}},
		"none and none":   {[]uint32{none, none}, ownership.Endpoints{Known: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := anyHere(tt.ports, func(port uint32) (known, here bool) { return port != silent, port == some })
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
