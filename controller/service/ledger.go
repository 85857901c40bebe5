package service

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
)

// Ledger is where addresses are claimed (design.md section 6). All methods return when ctx ends.
type Ledger interface {
	// Claim answers a request; see v1beta1.IPAllocationClaim. An error that wraps ErrTermEnded says that another
	// controller works; after any other it is not known what was done.
	Claim(ctx context.Context, request v1beta1.IPAllocationClaimSpec) (*v1beta1.IPAllocationClaimStatus, error)
	// List returns the whole ledger, as it is at some moment after the call.
	List(ctx context.Context) ([]v1beta1.IPAllocation, error)
}

// ErrTermEnded says that another controller has begun to work since this one did.
var ErrTermEnded = errors.New("another controller has begun its term")

// NewLedger returns the ledger of the aggregated API, through a client of metallb.io/v1beta1 (NewPoolClient).
func NewLedger(client rest.Interface, namespace string) Ledger { return apiLedger{client, namespace} }

type apiLedger struct {
	client    rest.Interface
	namespace string
}

// Claim implements Ledger.
func (l apiLedger) Claim(ctx context.Context, request v1beta1.IPAllocationClaimSpec) (*v1beta1.IPAllocationClaimStatus, error) {
	claim := &v1beta1.IPAllocationClaim{Spec: request}
	claim.APIVersion, claim.Kind = v1beta1.SchemeGroupVersion.String(), "IPAllocationClaim"
	answer := &v1beta1.IPAllocationClaim{}
	err := l.client.Post().Namespace(l.namespace).Resource("ipallocationclaims").Body(claim).Do(ctx).Into(answer)
	switch {
	case apierrors.IsConflict(err):
		return nil, fmt.Errorf("%w: %w", ErrTermEnded, err)
	case err != nil:
		return nil, fmt.Errorf("claiming addresses: %w", err)
	case len(answer.Status.Services) != len(request.Services):
		return nil, fmt.Errorf("claiming addresses: %d answers to %d claims", len(answer.Status.Services), len(request.Services))
	}
	return &answer.Status, nil
}

// List implements Ledger. Without a resource version the answer is not from a cache that may be behind.
func (l apiLedger) List(ctx context.Context) ([]v1beta1.IPAllocation, error) {
	list := &v1beta1.IPAllocationList{}
	if err := l.client.Get().Namespace(l.namespace).Resource("ipallocations").Do(ctx).Into(list); err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	return list.Items, nil
}
