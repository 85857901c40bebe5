package rules

import (
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

// checkCooldown refuses what is no length of time.
func checkCooldown(d *metallb.Duration, path *field.Path) field.ErrorList {
	if d == nil {
		return nil
	}
	length, err := d.Parse()
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, string(*d), "invalid cooldown: "+err.Error())}
	case length < 0:
		return field.ErrorList{field.Invalid(path, string(*d), "invalid cooldown: must not be negative")}
	}
	return nil
}

// checkQuota refuses limits below zero, names that no namespace can have, and two limits for one namespace.
func checkQuota(q *metallb.Quota, path *field.Path) field.ErrorList {
	if q == nil {
		return nil
	}
	var errs field.ErrorList
	const negative = "must be greater than or equal to 0"
	if q.PerNamespace != nil && *q.PerNamespace < 0 {
		errs = append(errs, field.Invalid(path.Child("perNamespace"), *q.PerNamespace, negative))
	}
	seen := map[string]bool{}
	for i, ns := range q.Namespaces {
		at := path.Child("namespaces").Index(i)
		errs = append(errs, checkName(ns.Name, at.Child("name"))...)
		if seen[ns.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), ns.Name))
		}
		seen[ns.Name] = true
		if ns.Limit < 0 {
			errs = append(errs, field.Invalid(at.Child("limit"), ns.Limit, negative))
		}
	}
	return errs
}

// checkName refuses what cannot be the name of a namespace or a Service (RFC 1123 label).
func checkName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	for _, why := range content.IsDNS1123Label(name) {
		errs = append(errs, field.Invalid(path, name, why))
	}
	return errs
}
