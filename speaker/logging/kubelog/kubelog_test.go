package kubelog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/ingot-lb/ingot/speaker/logging"
)

// TestLinesOfLibraries: what Kubernetes' libraries say is one line of JSON each, with our keys, as much of it as the level lets
// through while it changes; and never the body of a request.
func TestLinesOfLibraries(t *testing.T) {
	var out bytes.Buffer
	level, err := logging.NewLevel("info")
	if err != nil {
		t.Fatal(err)
	}
	Adopt(logging.New(&out, level), level)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Warning", `299 - "v1 Secret is deprecated\nor so"`)
		_, _ = w.Write([]byte(`{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"},"data":{"password":"cGxhbnRlZA=="}}`))
	}))
	t.Cleanup(server.Close)
	speak := func() {
		ctx := context.Background()
		klog.Warning("a warning\nof two lines")
		klog.ErrorS(errors.New("broken"), "An error", "key", "value")
		klog.Info("information")
		klog.FromContext(ctx).V(2).Info("contextual", "depth", 2)
		for _, v := range []klog.Level{1, 4, 5, 6, 7, 8, 10} {
			klog.V(v).Infof("at %d", v)
		}
		utilruntime.HandleErrorWithContext(ctx, errors.New("of a reflector"), "Handled")
		client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, BearerToken: "planted"})
		if err != nil {
			t.Fatal(err)
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string][]byte{"password": []byte("planted")}}
		if _, err := client.CoreV1().Secrets("default").Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	caller := regexp.MustCompile(`^[a-z0-9_]+\.go:\d+$`)
	for _, step := range []struct {
		level    string
		has, not []string
	}{
		{"info", []string{"An error", "of a reflector", "deprecated"}, []string{"a warning", "information", "contextual", "at 1"}},
		{"all", []string{"a warning", "information", "contextual", "at 6", "/api/v1/namespaces/default/secrets"}, []string{"at 7", "at 8", "at 10"}},
		{"debug", []string{"information", "contextual", "at 4"}, []string{"at 5", "at 6", "/api/v1/namespaces/default/secrets"}},
		{"error", []string{"An error", "of a reflector"}, []string{"a warning", "deprecated"}},
		{"none", nil, []string{"An error", "msg"}},
		{"warn", []string{"deprecated", "An error"}, []string{"information"}},
	} {
		if err := level.Object(step.level); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		speak()
		text := out.String()
		for line := range strings.Lines(text) {
			var keys struct{ TS, Level, Caller, Msg string }
			if err := json.Unmarshal([]byte(line), &keys); err != nil || keys.TS == "" || keys.Msg == "" || !caller.MatchString(keys.Caller) {
				t.Errorf("%s: %q: %v", step.level, line, err)
			}
		}
		for _, want := range step.has {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in:\n%s", step.level, want, text)
			}
		}
		for _, unwanted := range append(step.not, "planted", "cGxhbnRlZA") {
			if strings.Contains(text, unwanted) {
				t.Errorf("%s: %q in:\n%s", step.level, unwanted, text)
			}
		}
	}
}
