package install

import (
	"k8s.io/apimachinery/pkg/runtime"
)

// WithoutProtobuf is base for types that do not implement protocol buffers: clients that accept them among others
// get JSON. If they were offered, kube-controller-manager would ask for them when it deletes a namespace and fail.
func WithoutProtobuf(base runtime.NegotiatedSerializer) runtime.NegotiatedSerializer {
	return withoutProtobuf{base}
}

type withoutProtobuf struct{ runtime.NegotiatedSerializer }

// SupportedMediaTypes implements runtime.NegotiatedSerializer.
func (s withoutProtobuf) SupportedMediaTypes() []runtime.SerializerInfo {
	var types []runtime.SerializerInfo
	for _, t := range s.NegotiatedSerializer.SupportedMediaTypes() {
		if t.MediaType != runtime.ContentTypeProtobuf {
			types = append(types, t)
		}
	}
	return types
}
