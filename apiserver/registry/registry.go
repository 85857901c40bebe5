// Package registry is the REST storage of the stored kinds: what a create, an update and a status update may change,
// what kubectl shows of them, and which words are said early. The law is in the guarded write beneath it, which the
// REST options bring along.
package registry

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// category is what kubectl accepts for all kinds at once. It is not "metallb": kubectl expands categories first, and
// "kubectl delete metallb --all", meant for the operator's object, would delete every pool.
const category = "ingot"

// New makes the storage of every stored kind, by version and resource path, in the form that
// genericapiserver.APIGroupInfo takes. Objects are accepted in namespace only. current gives the last known
// configuration, which may be old: it is used for warnings and dry-run alone. It must not block and may return nil.
// judge is the one that the guarded write obeys; claimer answers the claims of addresses.
func New(
	scheme *runtime.Scheme, optsGetter generic.RESTOptionsGetter, namespace string, current func() *metallb.Configuration, judge *rules.Judge,
	claimer Claimer,
) (map[string]map[string]rest.Storage, error) {
	storage := map[string]map[string]rest.Storage{}
	for _, k := range kinds {
		main, status, err := newStorage(k, scheme, optsGetter, namespace, current, judge)
		if err != nil {
			return nil, fmt.Errorf("storage of %s: %w", k.plural, err)
		}
		for _, version := range k.versions {
			if storage[version] == nil {
				storage[version] = map[string]rest.Storage{}
			}
			storage[version][k.plural] = main
			storage[version][k.plural+"/status"] = status
		}
		for _, o := range k.older {
			storage[o.version][k.plural] = &olderObjects{main, o}
			storage[o.version][k.plural+"/status"] = &olderStatus{status, o}
		}
	}
	ledger, err := newAllocations(scheme, optsGetter, namespace)
	if err != nil {
		return nil, fmt.Errorf("storage of %s: %w", ipAllocations.plural, err)
	}
	storage["v1beta1"][ipAllocations.plural] = ledger
	storage["v1beta1"][claimsPlural] = &claims{claimer, namespace}
	return storage, nil
}
