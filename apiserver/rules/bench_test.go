package rules

import (
	"fmt"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// poolsOf is a configuration of n pools.
func poolsOf(n int) *metallb.Configuration {
	c := &metallb.Configuration{}
	for i := range n {
		c.IPAddressPools = append(c.IPAddressPools, newPool(fmt.Sprintf("pool-%05d", i), fmt.Sprintf("10.%d.%d.0/25", i/250, i%250), fmt.Sprintf("2001:db8:%x::/64", i)))
	}
	return c
}

// BenchmarkWriteAmongPools changes one pool after the other, and tells what Judge takes for a write among 10,000 and
// among 10.
func BenchmarkWriteAmongPools(b *testing.B) {
	cost := func(n, writes int) time.Duration {
		c := poolsOf(n)
		judge := NewJudge(nil)
		judge.Check(c, Change{Resource: "ipaddresspools", New: c.IPAddressPools[0]})
		var spent time.Duration
		for i := range writes {
			at := i % n
			old := c.IPAddressPools[at]
			changed := newPool(old.Name, fmt.Sprintf("10.%d.%d.0/%d", at/250, at%250, 24+i%2), old.Spec.Addresses[1])
			began := time.Now()
			if errs, _ := judge.Check(c, Change{Resource: "ipaddresspools", Old: old, New: changed}); len(errs) > 0 {
				b.Fatal(errs)
			}
			spent += time.Since(began)
			next := *c
			next.IPAddressPools = append([]*metallb.IPAddressPool(nil), c.IPAddressPools...)
			next.IPAddressPools[at] = changed
			c = &next
		}
		return spent / time.Duration(writes)
	}
	for b.Loop() {
		few, many := cost(10, 2000), cost(10000, 2000)
		b.ReportMetric(float64(few.Nanoseconds())/1e3, "µs/write-10")
		b.ReportMetric(float64(many.Nanoseconds())/1e3, "µs/write-10000")
		b.ReportMetric(float64(many)/float64(few), "ratio")
	}
}
