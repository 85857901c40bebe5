package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certutil "k8s.io/client-go/util/cert"
)

const (
	// webhookEnv makes this program the webhook, with the certificate in the directory that it names.
	webhookEnv     = "INGOT_E2E_WEBHOOK"
	webhookAddress = "127.0.0.1:9543"
)

// webhookCertificate writes a certificate and returns who vouches for it, in base64.
func webhookCertificate(dir string) (string, error) {
	cert, key, err := certutil.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(cert), errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.crt"), cert, 0o600), os.WriteFile(filepath.Join(dir, "tls.key"), key, 0o600))
}

// serveWebhook denies what is called "denied" or has a label "deny", at /validate, and labels what is created, at /mutate.
func serveWebhook(dir string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/validate", review(func(o metav1.PartialObjectMetadata, r *admissionv1.AdmissionResponse) {
		if _, deny := o.Labels["deny"]; deny || o.Name == "denied" {
			r.Allowed, r.Result = false, &metav1.Status{Message: "no community is called denied"}
		}
	}))
	mux.HandleFunc("/mutate", review(func(o metav1.PartialObjectMetadata, r *admissionv1.AdmissionResponse) {
		if o.Labels != nil {
			patch := admissionv1.PatchTypeJSONPatch
			r.PatchType, r.Patch = &patch, []byte(`[{"op":"add","path":"/metadata/labels/seen","value":"yes"}]`)
		}
	}))
	return http.ListenAndServeTLS(webhookAddress, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), mux)
}

func review(decide func(metav1.PartialObjectMetadata, *admissionv1.AdmissionResponse)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var asked admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)
			return
		}
		var object metav1.PartialObjectMetadata
		if raw := asked.Request.Object.Raw; len(raw) > 0 {
			if err := json.Unmarshal(raw, &object); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		asked.Response = &admissionv1.AdmissionResponse{UID: asked.Request.UID, Allowed: true}
		decide(object, asked.Response)
		asked.Request = nil
		if err := json.NewEncoder(w).Encode(asked); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}
