package service

import (
	"encoding/binary"
	"encoding/json"
	"math/big"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/addrrange"
	metallbinstall "github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/legacy"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/controller/ipam"
	"github.com/ingot-lb/ingot/test/admitted"
)

// FuzzAdmitted: a pool that the API accepts is one that the controller can use, as it is served, and has the addresses
// that it says.
func FuzzAdmitted(f *testing.F) {
	for seed := range uint32(200) {
		f.Add(binary.LittleEndian.AppendUint32(nil, seed))
	}
	codec := metallbinstall.Codecs.LegacyCodec(v1beta1.SchemeGroupVersion)
	f.Fuzz(func(t *testing.T, input []byte) {
		accepted := admitted.NewBook()
		if _, err := accepted.Fill(admitted.NewChoices(input), 30); err != nil {
			t.Fatal(err)
		}
		book := newPoolBook()
		for _, p := range accepted.Config.IPAddressPools {
			book.put(served(t, codec, p, &v1beta1.IPAddressPool{}), true)
		}
		for _, p := range accepted.Config.AddressPools {
			stands, err := modern(served(t, codec, p, &v1beta1.AddressPool{}))
			if err != nil {
				t.Fatal(err)
			}
			book.enter(poolKey{p.Name, true}, stands, true)
		}
		pools, _ := book.take()
		for key, err := range book.unusable {
			t.Errorf("pool %q is accepted and cannot be used: %v", key.name, err)
		}
		a := ipam.New()
		a.SetPools(pools)
		for _, p := range accepted.Config.IPAddressPools {
			checkCounts(t, a, p)
		}
		for _, p := range accepted.Config.AddressPools {
			checkCounts(t, a, legacy.Expand(p).Pool)
		}
	})
}

// served is a pool as a client of the API reads it.
func served[P runtime.Object](t *testing.T, codec runtime.Codec, p runtime.Object, read P) P {
	t.Helper()
	text, err := runtime.Encode(codec, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, read); err != nil {
		t.Fatal(err)
	}
	return read
}

// checkCounts compares the capacity that the allocator sees with the sizes of the pool's ranges.
func checkCounts(t *testing.T, a *ipam.Allocator, p *metallb.IPAddressPool) {
	t.Helper()
	got, ok := a.Stats(p.Name)
	if !ok {
		t.Errorf("the allocator does not know IPAddressPool %q", p.Name)
		return
	}
	most := new(big.Int).SetInt64(1<<63 - 1)
	want := [2]*big.Int{new(big.Int), new(big.Int)}
	for _, text := range p.Spec.Addresses {
		r, err := addrrange.Parse(text)
		if err != nil {
			t.Errorf("IPAddressPool %q: %v", p.Name, err)
			return
		}
		sum := want[ipam.FamilyOf(r.First())]
		for _, prefix := range r.Prefixes() {
			sum.Add(sum, new(big.Int).Lsh(big.NewInt(1), uint(prefix.Addr().BitLen()-prefix.Bits())))
		}
	}
	for family, sum := range want {
		if sum.Cmp(most) > 0 {
			sum = most
		}
		available := got[family].Available
		exact := !p.Spec.AvoidBuggyIPs || family != int(ipam.IPv4)
		if got[family].Assigned != 0 || exact && available != sum.Int64() || available > sum.Int64() {
			t.Errorf("IPAddressPool %q of %v: %+v, want %v", p.Name, p.Spec.Addresses, got, want)
		}
	}
}
