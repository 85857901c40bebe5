package server

import (
	"errors"
	"io"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ingot-lb/ingot/apiserver/shape"
)

// bodyLimits are far above what any object needs. Managed fields are the deepest, and have the longest names of members.
var bodyLimits = shape.Limits{Depth: 100, Members: 10_000, Key: 4096, Name: 4096}

// withBoundedBodies refuses bodies whose shape would cost more than their size lets expect.
func withBoundedBodies(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			limits := bodyLimits
			if strings.HasPrefix(r.Header.Get("Content-Type"), string(types.JSONPatchType)) {
				limits.Name = 0 // the new value of anything is as near to the outside
			}
			r = r.Clone(r.Context())
			r.Body = &boundedBody{Reader: shape.NewReader(r.Body, limits), Closer: r.Body}
		}
		handler.ServeHTTP(w, r)
	})
}

type boundedBody struct {
	*shape.Reader
	io.Closer
}

// Read makes what is beyond the limits the client's mistake.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	var beyond *shape.Error
	if errors.As(err, &beyond) {
		err = apierrors.NewBadRequest(beyond.Error())
	}
	return n, err
}
