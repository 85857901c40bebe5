package registry

import (
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// attributes are what label and field selectors look at, for lists, watches and collections that are deleted.
func attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	o, ok := obj.(object)
	if !ok {
		return nil, nil, fmt.Errorf("%T has no metadata", obj)
	}
	selectable := fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
	if s, ok := obj.(metallb.Selectable); ok {
		maps.Copy(selectable, s.SelectableFields())
	}
	return o.GetLabels(), selectable, nil
}
