package server

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestReplicasAddressesAreWritten(t *testing.T) {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: namespace, Labels: map[string]string{discoveryv1.LabelServiceName: "apiserver-dispatch"}},
		Ports:      []discoveryv1.EndpointPort{{Name: new("dispatch"), Port: new(int32(7473))}, {Name: new("https"), Port: new(int32(10443))}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"192.0.2.2"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)}}, {Addresses: []string{"192.0.2.1"}},
		},
	}
	six := slice.DeepCopy()
	six.Name, six.Endpoints = "six", []discoveryv1.Endpoint{{Addresses: []string{"2001:db8::1"}}}
	other := slice.DeepCopy()
	other.Name, other.Labels, other.Endpoints = "other", nil, []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.9"}}}
	client := fake.NewClientset(slice, six, other)
	const want = "192.0.2.1:7473\n192.0.2.2:7473\n[2001:db8::1]:7473\n"
	check := func(want string) {
		t.Helper()
		if err := writeAddresses(t.Context(), client, namespace, "apiserver-dispatch"); err != nil {
			t.Fatal(err)
		}
		m, err := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), dispatchMap, metav1.GetOptions{})
		if err != nil || m.Data[addressesKey] != want {
			t.Errorf("the ConfigMap has %q, %v; want %q", m.Data, err, want)
		}
	}
	check(want)
	slice.Endpoints = slice.Endpoints[:1]
	if _, err := client.DiscoveryV1().EndpointSlices(namespace).Update(t.Context(), slice, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	check("192.0.2.2:7473\n[2001:db8::1]:7473\n")
	// While nobody is there, where they were is the best that speakers can be told.
	for _, name := range []string{"s", "six"} {
		if err := client.DiscoveryV1().EndpointSlices(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	check("192.0.2.2:7473\n[2001:db8::1]:7473\n")
}
