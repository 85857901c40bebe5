// Package install puts every version of metallb.io into a scheme and says how it is read, written and stored.
package install

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1alpha1"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta1"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/v1beta2"
)

var (
	// Scheme knows every type that the aggregated server reads and writes.
	Scheme = runtime.NewScheme()
	// Codecs convert between the bytes of a version and the internal types.
	Codecs = serializer.NewCodecFactory(Scheme)
	// ParameterCodec reads the options of a request from its URL.
	ParameterCodec = runtime.NewParameterCodec(Scheme)
)

func init() {
	Install(Scheme)

	// Options and Status of requests, as every aggregated server registers them.
	unversioned := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(Scheme, unversioned)
	Scheme.AddUnversionedTypes(unversioned,
		&metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
}

// Install registers the group. By Kubernetes' order of versions v1beta2 is the preferred one, though it holds only
// BGPPeer; clients find the other kinds in v1beta1.
func Install(scheme *runtime.Scheme) {
	utilruntime.Must(metallb.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	utilruntime.Must(v1beta1.AddToScheme(scheme))
	utilruntime.Must(v1beta2.AddToScheme(scheme))
	utilruntime.Must(metallb.AddFieldLabels(scheme))
	utilruntime.Must(scheme.SetVersionPriority(v1beta2.SchemeGroupVersion, v1beta1.SchemeGroupVersion, v1alpha1.SchemeGroupVersion))
}
