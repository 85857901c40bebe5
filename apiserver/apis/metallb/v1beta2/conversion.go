package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/conversion"
)

// Convert_v1beta2_SecretReference_To_v1_SecretReference converts the reference of a served peer. The type is ours
// on the wire, so that the OpenAPI document needs nothing of Kubernetes' core group.
func Convert_v1beta2_SecretReference_To_v1_SecretReference(in *SecretReference, out *corev1.SecretReference, _ conversion.Scope) error {
	*out = corev1.SecretReference(*in)
	return nil
}

// Convert_v1_SecretReference_To_v1beta2_SecretReference is the way back.
func Convert_v1_SecretReference_To_v1beta2_SecretReference(in *corev1.SecretReference, out *SecretReference, _ conversion.Scope) error {
	*out = SecretReference(*in)
	return nil
}
