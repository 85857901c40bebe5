package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset/fake"

	"github.com/ingot-lb/ingot/certs"
)

var (
	v1beta1 = schema.GroupVersion{Group: "metallb.io", Version: "v1beta1"}
	v1beta2 = schema.GroupVersion{Group: "metallb.io", Version: "v1beta2"}
)

// installed is what APIServices that are made are deleted with.
var installed = metav1.OwnerReference{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: "metallb-system:apiserver", UID: "1"}

// keepServices keeps the APIServices of a cluster with these objects until the end of the test. The bundle may be
// changed through what it returns.
func keepServices(t *testing.T, objects ...runtime.Object) (a *apiServices, bundle *atomic.Pointer[string], changed chan<- struct{}) {
	t.Helper()
	bundle = &atomic.Pointer[string]{}
	first := "first CA"
	bundle.Store(&first)
	signal := make(chan struct{})
	a = &apiServices{
		client:        fake.NewSimpleClientset(objects...).ApiregistrationV1().APIServices(),
		namespace:     namespace,
		service:       "apiserver",
		versions:      []schema.GroupVersion{v1beta2, v1beta1},
		bundle:        func() []byte { return []byte(*bundle.Load()) },
		bundleChanged: signal,
		create:        true,
		owner:         func(context.Context) *metav1.OwnerReference { return &installed },
		beforeCreate:  func(context.Context) {},
		log:           slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		a.run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return a, bundle, signal
}

// inPlace says how an APIService differs from what is wanted.
func inPlace(ctx context.Context, a *apiServices, gv schema.GroupVersion, priority int32, bundle string) error {
	got, err := a.client.Get(ctx, nameOf(gv), metav1.GetOptions{})
	if err != nil {
		return err
	}
	port := int32(443)
	want := apiregistrationv1.APIServiceSpec{
		Service:              &apiregistrationv1.ServiceReference{Namespace: namespace, Name: "apiserver", Port: &port},
		Group:                gv.Group,
		Version:              gv.Version,
		CABundle:             []byte(bundle),
		GroupPriorityMinimum: 1000,
		VersionPriority:      priority,
	}
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		return errors.New("(-want +got):\n" + diff)
	}
	if _, automanaged := got.Labels[automanagedLabel]; automanaged {
		return errors.New("is labelled as managed by the kube-apiserver, which would overwrite it")
	}
	return nil
}

func TestAPIServicesAreCreatedAndKeptRight(t *testing.T) {
	a, bundle, changed := keepServices(t)
	both := func(bundle string) func() error {
		return func() error {
			return errors.Join(inPlace(t.Context(), a, v1beta2, 100, bundle), inPlace(t.Context(), a, v1beta1, 90, bundle))
		}
	}
	eventually(t, "created", both("first CA"))
	eventually(t, "ready", a.ready)
	created, err := a.client.Get(t.Context(), nameOf(v1beta2), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]metav1.OwnerReference{installed}, created.OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}

	if err := a.client.Delete(t.Context(), nameOf(v1beta2), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "deleted by someone", both("first CA"))

	drifted, err := a.client.Get(t.Context(), nameOf(v1beta1), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	drifted.Spec.Service.Namespace = "elsewhere"
	drifted.Labels = map[string]string{automanagedLabel: "onstart"}
	if _, err := a.client.Update(t.Context(), drifted, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "changed by someone", both("first CA"))

	second := "second CA"
	bundle.Store(&second)
	changed <- struct{}{}
	eventually(t, "new CA", both("second CA"))
}

// TestAPIServicesOfDefinitionsAreLeftAlone protects a MetalLB that still runs: its watches would see every object
// vanish.
func TestAPIServicesOfDefinitionsAreLeftAlone(t *testing.T) {
	theirs := &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: nameOf(v1beta1), Labels: map[string]string{automanagedLabel: "true"}},
		Spec:       apiregistrationv1.APIServiceSpec{Group: v1beta1.Group, Version: v1beta1.Version, VersionPriority: 100},
	}
	a, _, _ := keepServices(t, theirs.DeepCopy())
	eventually(t, "the other version", func() error { return inPlace(t.Context(), a, v1beta2, 100, "first CA") })

	eventually(t, "reason", func() error {
		if err := a.ready(); err == nil || !strings.Contains(err.Error(), "CustomResourceDefinitions") {
			return errors.Join(errors.New("not told"), err)
		}
		return nil
	})
	got, err := a.client.Get(t.Context(), nameOf(v1beta1), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs.Spec, got.Spec); diff != "" {
		t.Errorf("APIService (-want +got):\n%s", diff)
	}
}

// TestBundlesOfOthersAreLeftAlone: where somebody else injects, all but the bundle is kept right; what OLM makes is its own;
// and with certificates in files nobody's bundle is known here.
func TestBundlesOfOthersAreLeftAlone(t *testing.T) {
	theirs := &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: nameOf(v1beta1), Annotations: map[string]string{"cert-manager.io/inject-ca-from": "metallb-system/apiserver"}},
		Spec: apiregistrationv1.APIServiceSpec{Group: v1beta1.Group, Version: v1beta1.Version, VersionPriority: 1, CABundle: []byte("theirs"),
			Service: &apiregistrationv1.ServiceReference{Namespace: namespace, Name: "old"}},
	}
	olm := &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: nameOf(v1beta2), Labels: map[string]string{"olm.owner": "ingot.v1.0.0"}},
		Spec: apiregistrationv1.APIServiceSpec{Group: v1beta2.Group, Version: v1beta2.Version, VersionPriority: 15, CABundle: []byte("olm"),
			Service: &apiregistrationv1.ServiceReference{Namespace: namespace, Name: "apiserver-service"}},
	}
	a, bundle, changed := keepServices(t, theirs, olm.DeepCopy())
	eventually(t, "the rest put right", func() error { return inPlace(t.Context(), a, v1beta1, 90, "theirs") })
	eventually(t, "ready", a.ready)
	second := "second CA"
	bundle.Store(&second)
	changed <- struct{}{}
	eventually(t, "nothing left to be told", func() error { return carried(t.Context(), a.client, []byte(second)) })
	if err := inPlace(t.Context(), a, v1beta1, 90, "theirs"); err != nil {
		t.Error(err)
	}
	got, err := a.client.Get(t.Context(), nameOf(v1beta2), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(olm, got); diff != "" {
		t.Errorf("OLM's APIService (-want +got):\n%s", diff)
	}
}

// TestTheNextCAWaitsForAPIServices: one that does not have the bundle yet is named by no error, and holds the rotation.
func TestTheNextCAWaitsForAPIServices(t *testing.T) {
	a, _, _ := keepServices(t)
	eventually(t, "created", func() error { return inPlace(t.Context(), a, v1beta1, 90, "first CA") })
	if err := carried(t.Context(), a.client, []byte("second CA")); !errors.Is(err, certs.ErrNotYet) {
		t.Errorf("%v, want that it is on its way", err)
	}
	eventually(t, "told of the first", func() error { return carried(t.Context(), a.client, []byte("first CA")) })
}

// TestMissingAPIServicesAreTheInstallers: Helm deletes them before the Deployment, and none may come back. What is there gets
// its bundle all the same.
func TestMissingAPIServicesAreTheInstallers(t *testing.T) {
	port := int32(443)
	theirs := &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: nameOf(v1beta1), Labels: map[string]string{"app.kubernetes.io/managed-by": "Helm"}},
		Spec: apiregistrationv1.APIServiceSpec{Group: v1beta1.Group, Version: v1beta1.Version, GroupPriorityMinimum: 1000, VersionPriority: 90,
			Service: &apiregistrationv1.ServiceReference{Namespace: namespace, Name: "apiserver", Port: &port}},
	}
	a := &apiServices{
		client:    fake.NewSimpleClientset(theirs).ApiregistrationV1().APIServices(),
		namespace: namespace,
		service:   "apiserver",
		bundle:    func() []byte { return []byte("CA") },
		log:       slog.New(slog.DiscardHandler),
	}
	if err := a.reconcile(t.Context(), v1beta2, 100); !errors.Is(err, errMissing) {
		t.Errorf("one that is missing: %v", err)
	}
	if err := a.reconcile(t.Context(), v1beta1, 90); err != nil {
		t.Errorf("one that is there: %v", err)
	}
	if err := inPlace(t.Context(), a, v1beta1, 90, "CA"); err != nil {
		t.Error(err)
	}
	all, err := a.client.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(all.Items) != 1 || all.Items[0].Labels["app.kubernetes.io/managed-by"] != "Helm" {
		t.Errorf("APIServices: %+v, %v", all, err)
	}
}
