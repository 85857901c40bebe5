package service

import (
	"fmt"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/legacy"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// modern is the IPAddressPool that an AddressPool stands for.
func modern(p *v1beta1.AddressPool) (*v1beta1.IPAddressPool, error) {
	var internal metallb.AddressPool
	if err := v1beta1.Convert_v1beta1_AddressPool_To_metallb_AddressPool(p, &internal, nil); err != nil {
		return nil, fmt.Errorf("AddressPool %q: %w", p.Name, err)
	}
	out := &v1beta1.IPAddressPool{}
	if err := v1beta1.Convert_metallb_IPAddressPool_To_v1beta1_IPAddressPool(legacy.Expand(&internal).Pool, out, nil); err != nil {
		return nil, fmt.Errorf("AddressPool %q: %w", p.Name, err)
	}
	return out, nil
}

// What the feed of AddressPools calls. One that cannot be converted is as it was before.

func (c *Controller) putLegacyPool(p *v1beta1.AddressPool) {
	out, err := modern(p)
	if err != nil {
		c.Log.Error("failed to parse the configuration, going on with the last usable one", "controller", "PoolReconciler", "op", "setPools", "error", err)
		return
	}
	c.change(func(b *poolBook) { b.enter(poolKey{p.Name, true}, out, true) })
}

func (c *Controller) removeLegacyPool(p *v1beta1.AddressPool) {
	c.change(func(b *poolBook) { b.strike(poolKey{p.Name, true}, true) })
}

func (c *Controller) replaceLegacyPools(list []*v1beta1.AddressPool) {
	var all []*v1beta1.IPAddressPool
	for _, p := range list {
		out, err := modern(p)
		if err != nil {
			c.Log.Error("failed to parse the configuration", "controller", "PoolReconciler", "op", "setPools", "error", err)
			continue
		}
		all = append(all, out)
	}
	c.change(func(b *poolBook) { b.replaceAll(all, true) })
}
