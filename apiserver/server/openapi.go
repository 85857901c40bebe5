package server

import (
	"k8s.io/apimachinery/pkg/types"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/apis/openapi"
)

// describe sets what /openapi/v2 and /openapi/v3 serve.
//
// Strategic merge patches are taken, but not offered. kubectl apply makes one of every change where they are offered, and
// then cannot do --dry-run=client, for it calculates those with types that are compiled in. Where they are not, it makes merge
// patches, as it did when the kinds were CRDs; all lists are atomic, so the outcome is the same.
func describe(config *genericserver.RecommendedConfig) {
	namer := openapinamer.NewDefinitionNamer(install.Scheme)
	v2 := genericserver.DefaultOpenAPIConfig(openapi.Definitions, namer)
	v2.Info.Title = "Ingot"
	v2.PostProcessSpec = func(s *spec.Swagger) (*spec.Swagger, error) {
		for _, path := range s.Paths.Paths {
			if path.Patch != nil {
				path.Patch.Consumes = without(path.Patch.Consumes, string(types.StrategicMergePatchType))
			}
		}
		return s, nil
	}
	config.OpenAPIConfig = v2

	v3 := genericserver.DefaultOpenAPIV3Config(openapi.Definitions, namer)
	v3.Info.Title = "Ingot"
	v3.PostProcessSpec = func(s *spec3.OpenAPI) (*spec3.OpenAPI, error) {
		for _, path := range s.Paths.Paths {
			if path.Patch != nil && path.Patch.RequestBody != nil {
				delete(path.Patch.RequestBody.Content, string(types.StrategicMergePatchType))
			}
		}
		return s, nil
	}
	config.OpenAPIV3Config = v3
}

// without returns list with every occurrence of value left out.
func without(list []string, value string) []string {
	var kept []string
	for _, v := range list {
		if v != value {
			kept = append(kept, v)
		}
	}
	return kept
}
