// Command bundlecheck puts bundles for the Operator Lifecycle Manager before every validator of operator-framework that needs nothing but
// the files, and prints what they say, a line each, errors first. It fails if there are errors.
package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	interfaces "github.com/operator-framework/api/pkg/validation/interfaces"
)

// validators are all but those for other formats (of packages), for one catalog (community) and that ask a container engine
// about images.
var validators = interfaces.Validators{
	validation.ClusterServiceVersionValidator,
	validation.CustomResourceDefinitionValidator,
	validation.BundleValidator,
	validation.OperatorHubV2Validator,
	validation.StandardCategoriesValidator,
	validation.StandardCapabilitiesValidator,
	validation.ObjectValidator,
	validation.OperatorGroupValidator,
	validation.AlphaDeprecatedAPIsValidator,
	validation.GoodPracticesValidator,
}

func main() {
	failed := len(os.Args) < 2
	for _, dir := range os.Args[1:] {
		errors, warnings, err := check(dir)
		if err != nil {
			errors = append(errors, err.Error())
		}
		for _, e := range errors {
			fmt.Println("error:", e)
		}
		for _, w := range warnings {
			fmt.Println("warning:", w)
		}
		failed = failed || len(errors) > 0
	}
	if failed {
		os.Exit(1)
	}
}

func check(dir string) (errors, warnings []string, err error) {
	bundle, err := manifests.GetBundleFromDir(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", dir, err)
	}
	objects := append(bundle.ObjectsToValidate(), map[string]string{"k8s-version": bundle.CSV.Spec.MinKubeVersion})
	for _, result := range validators.Validate(objects...) {
		for _, e := range result.Errors {
			errors = append(errors, e.Error())
		}
		for _, w := range result.Warnings {
			warnings = append(warnings, w.Error())
		}
	}
	slices.Sort(errors)
	slices.Sort(warnings)
	return slices.Compact(errors), slices.Compact(warnings), nil
}
