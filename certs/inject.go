package certs

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// InjectAnnotation with the value "true" on a webhook configuration asks for the bundle.
const InjectAnnotation = "ingot.io/inject-ca-bundle"

// asks says whether an object wants its bundle from here.
func asks(o metav1.Object) bool {
	return o.GetAnnotations()[InjectAnnotation] == "true" && Elsewhere(o) == ""
}

// Elsewhere says who else is in charge of the certificates in an object, or of the bundle that it carries; "" if nobody is.
// Two who write one field would never end.
func Elsewhere(o metav1.Object) string {
	for name, value := range o.GetAnnotations() {
		switch {
		// inject-ca-from, inject-ca-from-secret, inject-apiserver-ca; certificate-name on Secrets.
		case strings.HasPrefix(name, "cert-manager.io/"):
			return "cert-manager"
		case name == "service.beta.openshift.io/inject-cabundle" && value == "true":
			return "the service CA of OpenShift"
		}
	}
	if ByOLM(o) {
		return "OLM"
	}
	return ""
}

// ByOLM says whether the Operator Lifecycle Manager made the object, as it does with the APIServices and webhook
// configurations that a ClusterServiceVersion lists.
func ByOLM(o metav1.Object) bool { return o.GetLabels()["olm.owner"] != "" }
