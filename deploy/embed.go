// Package deploy carries the manifests that users install, so that programs (the lab, tests, later the operator)
// run with exactly the ServiceAccounts and RBAC that are shipped and with no copy of their own.
package deploy

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed base/*.yaml
var files embed.FS

// Base returns the kustomize base: one file a component, kustomization.yaml beside them.
func Base() fs.FS {
	base, err := fs.Sub(files, "base")
	if err != nil {
		panic(fmt.Sprintf("deploy: the embedded base has an invalid name: %v", err)) // a constant, valid path
	}
	return base
}
