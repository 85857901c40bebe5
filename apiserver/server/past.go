package server

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
)

// withoutOtherPasts answers 410 to a watch of stored objects from a resource version that the store has not reached: the
// client comes from before the store was restored or begun anew. A watch cache would have it wait, silently, until
// the store gets there. Informers list anew then.
func withoutOtherPasts(handler http.Handler, ahead func(ctx context.Context, version int64) (bool, error), stored func(resource string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := genericapirequest.RequestInfoFrom(r.Context())
		if !ok || info.Verb != "watch" || info.APIGroup != metallb.GroupName || !stored(info.Resource) {
			handler.ServeHTTP(w, r)
			return
		}
		version, err := strconv.ParseInt(r.URL.Query().Get("resourceVersion"), 10, 64)
		if err != nil { // none, or one that is refused in its place
			handler.ServeHTTP(w, r)
			return
		}
		other, err := ahead(r.Context(), version)
		if err == nil && !other {
			handler.ServeHTTP(w, r)
			return
		}
		answer := apierrors.NewResourceExpired(fmt.Sprintf("resource version %d is of another past: the store was restored or replaced since", version))
		if err != nil {
			answer = apierrors.NewServiceUnavailable(err.Error())
		}
		responsewriters.ErrorNegotiated(answer, install.Codecs, schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}, w, r)
	})
}
