package registry

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/apiserver/rules"
)

// noStorage is for tests that read and write nothing.
var noStorage = generic.RESTOptions{
	StorageConfig:  &storagebackend.ConfigForResource{},
	ResourcePrefix: "test",
	Decorator: func(*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object,
		func() runtime.Object, storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		return nil, nil, nil
	},
}

func TestNew(t *testing.T) {
	served, err := New(install.Scheme, noStorage, namespace, func() *metallb.Configuration { return nil }, rules.NewJudge(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	type description struct {
		Short      []string
		Categories []string
		Singular   string
		Reset      string
	}
	got := map[string]description{}
	for version, resources := range served {
		for path, s := range resources {
			var d description
			if named, ok := s.(rest.ShortNamesProvider); ok {
				d.Short = named.ShortNames()
			}
			if c, ok := s.(rest.CategoriesProvider); ok {
				d.Categories = c.Categories()
			}
			if n, ok := s.(rest.SingularNameProvider); ok {
				d.Singular = n.GetSingularName()
			}
			var reset []string
			if r, ok := s.(rest.ResetFieldsStrategy); ok { // what can be applied
				for v, set := range r.GetResetFields() {
					reset = append(reset, string(v)+set.String())
				}
			}
			slices.Sort(reset)
			d.Reset = strings.Join(reset, " ")
			got[version+" "+path] = d
			_, listed := s.(rest.Lister)
			if _, waited := s.(rest.StorageWithReadiness); waited != listed {
				t.Errorf("%s %s: listed is %t, waited for until it can be is %t", version, path, listed, waited)
			}
		}
	}
	ingot := []string{"ingot"}
	want := map[string]description{
		"v1beta1 ipaddresspools":           {[]string{"ipp"}, ingot, "ipaddresspool", "metallb.io/v1beta1.status"},
		"v1beta1 l2advertisements":         {[]string{"l2adv"}, ingot, "l2advertisement", "metallb.io/v1beta1.status"},
		"v1beta1 bgpadvertisements":        {[]string{"bgpadv"}, ingot, "bgpadvertisement", "metallb.io/v1beta1.status"},
		"v1beta2 bgppeers":                 {[]string{"bgpp"}, ingot, "bgppeer", "metallb.io/v1beta1.status metallb.io/v1beta2.status"},
		"v1beta1 bgppeers":                 {[]string{"bgpp"}, ingot, "bgppeer", "metallb.io/v1beta1.status metallb.io/v1beta2.status"},
		"v1beta1 bfdprofiles":              {[]string{"bfdp"}, ingot, "bfdprofile", "metallb.io/v1beta1.status"},
		"v1beta1 communities":              {nil, ingot, "community", "metallb.io/v1beta1.status"},
		"v1beta1 ipreservations":           {[]string{"ipr"}, ingot, "ipreservation", "metallb.io/v1beta1.status"},
		"v1beta1 ipallocations":            {[]string{"ipa"}, ingot, "ipallocation", ""},
		"v1beta1 ipallocationclaims":       {nil, nil, "ipallocationclaim", ""},
		"v1beta1 metallbs":                 {nil, ingot, "metallb", "metallb.io/v1beta1.status"},
		"v1beta1 addresspools":             {nil, ingot, "addresspool", "metallb.io/v1alpha1.status metallb.io/v1beta1.status"},
		"v1alpha1 addresspools":            {nil, ingot, "addresspool", "metallb.io/v1alpha1.status metallb.io/v1beta1.status"},
		"v1beta1 addresspools/status":      {Reset: "metallb.io/v1alpha1.spec metallb.io/v1beta1.spec"},
		"v1alpha1 addresspools/status":     {Reset: "metallb.io/v1alpha1.spec metallb.io/v1beta1.spec"},
		"v1beta1 ipaddresspools/status":    {Reset: "metallb.io/v1beta1.spec"},
		"v1beta1 l2advertisements/status":  {Reset: "metallb.io/v1beta1.spec"},
		"v1beta1 bgpadvertisements/status": {Reset: "metallb.io/v1beta1.spec"},
		"v1beta2 bgppeers/status":          {Reset: "metallb.io/v1beta1.spec metallb.io/v1beta2.spec"},
		"v1beta1 bgppeers/status":          {Reset: "metallb.io/v1beta1.spec metallb.io/v1beta2.spec"},
		"v1beta1 bfdprofiles/status":       {Reset: "metallb.io/v1beta1.spec"},
		"v1beta1 communities/status":       {Reset: "metallb.io/v1beta1.spec"},
		"v1beta1 ipreservations/status":    {Reset: "metallb.io/v1beta1.spec"},
		"v1beta1 metallbs/status":          {Reset: "metallb.io/v1beta1.spec"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
}

func TestTables(t *testing.T) {
	web := pool("web", "10.0.0.0/24", "10.0.1.1-10.0.1.9")
	web.Spec.AutoAssign = new(true)
	selectors := []metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}
	tests := []struct {
		kind    kind
		obj     runtime.Object
		columns []string // of kubectl get; with a * those of -o wide
		cells   []any
	}{
		{ipAddressPools, web,
			[]string{"Name", "Auto Assign", "Avoid Buggy IPs", "Addresses"},
			[]any{"web", true, false, `["10.0.0.0/24","10.0.1.1-10.0.1.9"]`}},
		{l2Advertisements, &metallb.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "adv"}},
			[]string{"Name", "IPAddressPools", "IPAddressPool Selectors", "Interfaces", "Node Selectors*"},
			[]any{"adv", nil, nil, nil, nil}},
		{bgpAdvertisements, &metallb.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "adv"}, Spec: metallb.BGPAdvertisementSpec{
			IPAddressPools: []string{"web"}, IPAddressPoolSelectors: selectors, Peers: []string{"tor"}, NodeSelectors: selectors}},
			[]string{"Name", "IPAddressPools", "IPAddressPool Selectors", "Peers", "Node Selectors*"},
			[]any{"adv", `["web"]`, `[{"matchLabels":{"a":"b"}}]`, `["tor"]`, `[{"matchLabels":{"a":"b"}}]`}},
		{bgpPeers, &metallb.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "tor"}, Spec: metallb.BGPPeerSpec{
			Address: "10.0.0.1", ASN: 4200000000, BFDProfile: "fast", EBGPMultiHop: true}},
			[]string{"Name", "Address", "ASN", "BFD Profile", "Multi Hops"},
			[]any{"tor", "10.0.0.1", "4200000000", "fast", "true"}},
		{bgpPeers, &metallb.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "any"}, Spec: metallb.BGPPeerSpec{Interface: "eth0"}},
			[]string{"Name", "Address", "ASN", "BFD Profile", "Multi Hops"},
			[]any{"any", nil, nil, nil, "false"}},
		{bfdProfiles, &metallb.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Spec: metallb.BFDProfileSpec{
			PassiveMode: new(true), TransmitInterval: new(int64(50)), DetectMultiplier: new(int64(5))}},
			[]string{"Name", "Passive Mode", "Transmit Interval", "Receive Interval", "Multiplier"},
			[]any{"fast", true, int64(50), nil, int64(5)}},
		{communities, &metallb.Community{ObjectMeta: metav1.ObjectMeta{Name: "isp"}},
			[]string{"Name", "Age"}, []any{"isp", "<unknown>"}},
		{ipReservations, &metallb.IPReservation{ObjectMeta: metav1.ObjectMeta{Name: "shop"}, Spec: metallb.IPReservationSpec{
			Addresses: []string{"10.0.0.7", "10.0.1.0/28"}, Namespace: "shop", Service: "web", Reason: "in DNS"}},
			[]string{"Name", "Addresses", "Namespace", "Service", "Reason*", "Age"},
			[]any{"shop", `["10.0.0.7","10.0.1.0/28"]`, "shop", "web", "in DNS", "<unknown>"}},
		{ipReservations, &metallb.IPReservation{ObjectMeta: metav1.ObjectMeta{Name: "router"}, Spec: metallb.IPReservationSpec{Addresses: []string{"10.0.0.1"}}},
			[]string{"Name", "Addresses", "Namespace", "Service", "Reason*", "Age"},
			[]any{"router", `["10.0.0.1"]`, nil, nil, nil, "<unknown>"}},
		{ipAllocations, &metallb.IPAllocation{ObjectMeta: metav1.ObjectMeta{Name: "10.0.0.1"}, Spec: metallb.IPAllocationSpec{
			Address: "10.0.0.1", Pool: "web", SharingKey: "dns", Services: []metallb.AllocatedService{{Namespace: "a", Name: "tcp"}, {Namespace: "a", Name: "udp"}}}},
			[]string{"Name", "Address", "Pool", "Services", "Shared", "Age"},
			[]any{"10.0.0.1", "10.0.0.1", "web", "a/tcp,a/udp", "dns", "<unknown>"}},
		{metalLBs, &metallb.MetalLB{ObjectMeta: metav1.ObjectMeta{Name: "metallb"}, Status: metallb.MetalLBStatus{
			Conditions: []metav1.Condition{{Type: "Degraded", Status: "False"}, {Type: "Available", Status: "True"}}}},
			[]string{"Name", "Available", "Degraded", "Progressing", "Age"}, []any{"metallb", "True", "False", nil, "<unknown>"}},
	}
	for _, tt := range tests {
		got, err := tableConvertor{tt.kind.columns}.ConvertToTable(context.Background(), tt.obj, nil)
		if err != nil {
			t.Fatal(err)
		}
		var columns []string
		for _, c := range got.ColumnDefinitions {
			name := c.Name
			if c.Priority > 0 {
				name += "*"
			}
			columns = append(columns, name)
		}
		if diff := cmp.Diff(tt.columns, columns); diff != "" {
			t.Errorf("%s: columns (-want +got):\n%s", tt.kind.plural, diff)
		}
		if diff := cmp.Diff(tt.cells, got.Rows[0].Cells); diff != "" {
			t.Errorf("%s: cells (-want +got):\n%s", tt.kind.plural, diff)
		}
	}
}

func TestTableOfAList(t *testing.T) {
	more := int64(5)
	list := &metallb.IPAddressPoolList{
		ListMeta: metav1.ListMeta{ResourceVersion: "12", Continue: "next", RemainingItemCount: &more},
		Items:    []metallb.IPAddressPool{*pool("a", "10.0.0.0/24"), *pool("b", "10.0.1.0/24")},
	}
	got, err := tableConvertor{ipAddressPools.columns}.ConvertToTable(context.Background(), list, &metav1.TableOptions{NoHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list.ListMeta, got.ListMeta); diff != "" {
		t.Errorf("list metadata (-want +got):\n%s", diff)
	}
	names := []any{}
	for _, row := range got.Rows {
		names = append(names, row.Cells[0])
	}
	if !slices.Equal(names, []any{"a", "b"}) || len(got.ColumnDefinitions) != 0 {
		t.Errorf("rows %v with %d headers, want a and b with none", names, len(got.ColumnDefinitions))
	}
}
