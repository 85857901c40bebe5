package server

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// checkRules makes the rules the store's law. Their warnings are for users and are given by the registry.
func checkRules(c *metallb.Configuration, resource string, old, new runtime.Object) field.ErrorList {
	errs, _ := rules.Check(c, rules.Change{Resource: resource, Old: old, New: new})
	return errs
}
