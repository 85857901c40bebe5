package dispatch

import "github.com/ingot-lb/ingot/apiserver/apis/metallb"

// classes say which loadBalancerClass of Services is planned for.
type classes struct {
	fixed  string
	follow bool // the MetalLB object's, instead
}

// of is the class by a configuration; empty: Services without one.
func (c classes) of(config *metallb.Configuration) string {
	if !c.follow {
		return c.fixed
	}
	for _, m := range config.MetalLBs {
		if m.Name == metallb.MetalLBName {
			return m.Spec.LoadBalancerClass
		}
	}
	return ""
}
