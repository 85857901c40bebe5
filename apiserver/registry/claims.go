package registry

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericrequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/ledger"
)

// Claimer answers valid claims, as store.Store does.
type Claimer interface {
	Claim(ctx context.Context, namespace string, claim *metallb.IPAllocationClaim, dryRun bool) error
}

const claimsPlural = "ipallocationclaims"

// claims answers IPAllocationClaims.
type claims struct {
	claimer   Claimer
	namespace string
}

var (
	_ rest.Creater              = &claims{}
	_ rest.Scoper               = &claims{}
	_ rest.SingularNameProvider = &claims{}
)

// New implements rest.Storage.
func (c *claims) New() runtime.Object { return &metallb.IPAllocationClaim{} }

// Destroy implements rest.Storage.
func (c *claims) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (c *claims) NamespaceScoped() bool { return true }

// GetSingularName implements rest.SingularNameProvider.
func (c *claims) GetSingularName() string { return "ipallocationclaim" }

// Create answers a claim.
func (c *claims) Create(
	ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions,
) (runtime.Object, error) {
	claim, ok := obj.(*metallb.IPAllocationClaim)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("a %T is no IPAllocationClaim", obj))
	}
	if namespace := genericrequest.NamespaceValue(ctx); namespace != c.namespace {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the ledger is in namespace %s, not in %s", c.namespace, namespace))
	}
	if validate != nil {
		if err := validate(ctx, obj); err != nil {
			return nil, err
		}
	}
	if errs := ledger.Validate(&claim.Spec); len(errs) > 0 {
		return nil, apierrors.NewInvalid(metallb.SchemeGroupVersion.WithKind("IPAllocationClaim").GroupKind(), claim.Name, errs)
	}
	err := c.claimer.Claim(ctx, c.namespace, claim, dryrun.IsDryRun(options.DryRun))
	if errors.Is(err, ledger.ErrTermEnded) {
		return nil, apierrors.NewConflict(metallb.Resource(claimsPlural), claim.Name, err)
	}
	if err != nil {
		return nil, err
	}
	return claim, nil
}
